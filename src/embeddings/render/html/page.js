"use strict";
(() => {
  document.documentElement.classList.add("has-script");
  const find = (id) => document.getElementById(id);
  const { points, clusters } = JSON.parse(find("data").textContent);

  /* Tables: sorted by any column, with the keyboard too. */
  const units = (table) => (table.tBodies.length > 1 ? [...table.tBodies] : [...(table.tBodies[0]?.rows ?? [])]);
  const after = new Map();
  for (const table of document.querySelectorAll("table.sortable")) {
    const compare = new Intl.Collator(undefined, { numeric: true }).compare;
    for (const button of table.tHead.querySelectorAll("button")) {
      button.addEventListener("click", () => {
        const head = button.closest("th");
        const isUp = head.getAttribute("aria-sort") !== "ascending";
        for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
        const key = (unit) => {
          const cell = (unit.rows ? unit.rows[0] : unit).cells[head.cellIndex];
          return cell.dataset.key ?? cell.textContent;
        };
        const sorted = units(table).sort((one, other) => {
          const [a, b] = [key(one), key(other)];
          if (a === "" || b === "") return Number(a === "") - Number(b === "");
          return (isUp ? 1 : -1) * (head.dataset.number ? Number(a) - Number(b) : compare(a, b));
        });
        const parent = sorted[0]?.parentNode;
        if (parent) parent.append(...sorted);
        after.get(table)?.();
      });
    }
  }

  /* Queries: searched, filtered, opened. */
  const queries = find("queries-table");
  if (queries) {
    const step = 20;
    let limit = step;
    const [search, kind, shown, more] = ["search", "kind", "shown", "more"].map((name) => find("queries-" + name));
    const texts = new Map(units(queries).map((unit) => [unit, unit.textContent.toLowerCase()]));
    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let count = 0;
      for (const unit of units(queries)) {
        const isKind = kind.value === "all" || unit.dataset.kind.split(" ").includes(kind.value);
        const isFound = isKind && words.every((word) => texts.get(unit).includes(word));
        if (isFound) count += 1;
        unit.hidden = !isFound || limit < count;
      }
      shown.textContent = Math.min(count, limit) + " of " + count + " shown";
      more.hidden = count <= limit;
    };
    const open = (unit, isOpen) => {
      unit.classList.toggle("is-open", isOpen);
      unit.querySelector(".opener").setAttribute("aria-expanded", String(isOpen));
    };
    units(queries).forEach((unit, index) => {
      open(unit, index === 0);
      unit.querySelector(".opener").addEventListener("click", () => open(unit, !unit.classList.contains("is-open")));
    });
    after.set(queries, filter);
    search.addEventListener("input", () => { limit = step; filter(); });
    kind.addEventListener("change", () => { limit = step; filter(); });
    more.addEventListener("click", () => { limit += 100; filter(); });
    document.addEventListener("keydown", (event) => {
      const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
      if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
        event.preventDefault();
        search.focus();
      }
    });
    window.addEventListener("beforeprint", () => { limit = Infinity; filter(); });
    filter();
  }

  /* Lists side by side: what is the same in both lights up. */
  for (const pair of document.querySelectorAll(".pair")) {
    const link = (key) => {
      for (const entry of pair.querySelectorAll("li")) entry.classList.toggle("is-linked", key !== undefined && entry.dataset.key === key);
    };
    pair.addEventListener("pointerover", (event) => link(event.target.closest?.("li")?.dataset.key));
    pair.addEventListener("pointerleave", () => link());
  }

  /* A threshold of one's own, between the rows of the table. */
  const threshold = find("threshold");
  if (threshold) {
    const rows = [...(find("thresholds")?.tBodies[0].rows ?? [])]
      .map((row) => ["a", "b", "low", "high"].map((name) => (row.dataset[name] === "" ? NaN : Number(row.dataset[name]))))
      .filter((row) => row.every(Number.isFinite))
      .sort((one, other) => one[0] - other[0]);
    const show = (number) => number.toFixed(3).replace("-", "−");
    const map = () => {
      const a = threshold.value === "" ? NaN : Number(threshold.value);
      const next = rows.findIndex((row) => a <= row[0]);
      const out = find("threshold-mapped");
      if (!Number.isFinite(a) || next < 0 || a < rows[0][0]) {
        out.textContent = rows.length ? "between " + show(rows[0][0]) + " and " + show(rows[rows.length - 1][0]) + ", please" : "";
        return;
      }
      const [one, other] = [rows[Math.max(next - 1, 0)], rows[next]];
      const share = other[0] === one[0] ? 0 : (a - one[0]) / (other[0] - one[0]);
      const [b, low, high] = [1, 2, 3].map((index) => one[index] + (other[index] - one[index]) * share);
      out.textContent = "is " + show(b) + " in B, 95 % [" + show(low) + ", " + show(high) + "]";
    };
    threshold.addEventListener("input", map);
    map();
  }

  /* The plane: both panes linked, and one pane in which everything moves. */
  const panes = find("panes");
  if (!panes) return;
  const sides = ["a", "b"].map((side) => {
    const svg = find("pane-" + side).querySelector("svg");
    const dots = [...svg.querySelectorAll(".dots path")];
    const places = dots.map((dot) => dot.getAttribute("d").match(/-?[\d.]+/g).slice(0, 2).map(Number));
    return { svg, dots, places, marks: svg.querySelector(".marks") };
  });
  const [a, b] = sides;
  const group = a.dots.map((dot) => dot.parentNode.dataset.cluster);
  const names = new Map(clusters.map(([number, words]) => [String(number), words || "cluster " + number]));
  const moved = a.places.map(([x, y], index) => Math.hypot(b.places[index][0] - x, b.places[index][1] - y));
  const byMove = moved.map((_, index) => index).sort((one, other) => moved[other] - moved[one]);
  let share = 0;
  let isOne = false;
  let isFixed = false;
  let chosen;
  const between = (index) => a.places[index].map((place, axis) => place + (b.places[index][axis] - place) * share);
  const place = (side, index) => (side === a ? between(index) : b.places[index]);

  const shape = (name, attributes) => {
    const made = document.createElementNS(a.svg.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const told = find("told");
  const mark = (index) => {
    for (const side of sides) side.marks.replaceChildren();
    told.replaceChildren();
    if (index === undefined) return;
    for (const side of sides) {
      const [x, y] = place(side, index);
      const [from, to] = [a.places[index], b.places[index]];
      side.marks.append(
        shape("path", { d: "M" + from.join(" ") + "L" + to.join(" ") }),
        shape("circle", { cx: x, cy: y, r: 9 }),
        shape("circle", { cx: x, cy: y, r: 4, class: "spot" }),
      );
    }
    const [id, text] = points[index];
    const name = document.createElement("b");
    name.textContent = id;
    told.append(name, " in " + (names.get(group[index]) ?? "cluster " + group[index]) + (text ? ": " + text : ""));
  };
  const nearest = (side, event) => {
    const box = side.svg.getBoundingClientRect();
    const scale = side.svg.viewBox.baseVal.width / box.width;
    const [x, y] = [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
    let [best, least] = [undefined, 14 * Math.max(scale, 0.6)];
    for (let index = 0; index < side.dots.length; index += 1) {
      const [px, py] = place(side, index);
      const distance = Math.hypot(px - x, py - y) * (chosen === undefined || group[index] === chosen ? 1 : 4);
      if (distance < least) [best, least] = [index, distance];
    }
    return best;
  };
  let walk = -1;
  for (const side of sides) {
    side.svg.tabIndex = 0;
    side.svg.addEventListener("pointermove", (event) => { if (!isFixed && event.pointerType === "mouse") mark(nearest(side, event)); });
    side.svg.addEventListener("pointerleave", () => { if (!isFixed) mark(); });
    side.svg.addEventListener("click", (event) => {
      const index = nearest(side, event);
      isFixed = index !== undefined;
      mark(index);
    });
    side.svg.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (event.key === "Escape") { isFixed = false; walk = -1; mark(); }
      if (!by) return;
      event.preventDefault();
      const list = chosen === undefined ? byMove : byMove.filter((index) => group[index] === chosen);
      if (list.length === 0) return;
      walk = (walk + by + list.length) % list.length;
      isFixed = true;
      mark(list[walk]);
    });
  }

  const choose = (cluster) => {
    chosen = chosen === cluster ? undefined : cluster;
    walk = -1;
    panes.classList.toggle("has-chosen", chosen !== undefined);
    for (const one of panes.querySelectorAll(".dots g")) one.classList.toggle("is-chosen", one.dataset.cluster === chosen);
    for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", String(chip.dataset.cluster === chosen));
    for (const row of document.querySelectorAll("#clusters-table tr[data-cluster]")) row.classList.toggle("is-chosen", row.dataset.cluster === chosen);
  };
  for (const chip of document.querySelectorAll(".chip")) chip.addEventListener("click", () => choose(chip.dataset.cluster));

  const [toggle, play, step, arrows] = ["one-plane", "play", "step", "show-arrows"].map(find);
  const track = document.querySelector(".slider");
  const draw = () => {
    a.dots.forEach((dot, index) => {
      const [x, y] = between(index);
      dot.setAttribute("d", "M" + x.toFixed(1) + " " + y.toFixed(1) + "h0");
    });
    step.value = String(Math.round(share * 100));
  };
  let frame;
  const stop = () => { cancelAnimationFrame(frame); play.textContent = "Play A → B"; frame = undefined; };
  toggle.addEventListener("click", () => {
    isOne = !isOne;
    stop();
    share = 0;
    draw();
    mark();
    isFixed = false;
    toggle.setAttribute("aria-pressed", String(isOne));
    track.hidden = !isOne;
    panes.classList.toggle("is-one", isOne);
    if (isOne) play.click();
  });
  step.addEventListener("input", () => { stop(); share = Number(step.value) / 100; draw(); mark(); });
  play.addEventListener("click", () => {
    if (frame !== undefined) { stop(); return; }
    mark();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) { share = share < 0.5 ? 1 : 0; draw(); return; }
    const [from, to] = share < 0.5 ? [share, 1] : [share, 0];
    const time = 2200;
    let start;
    play.textContent = "Stop";
    const next = (now) => {
      start ??= now;
      const done = Math.min((now - start) / time, 1);
      share = from + (to - from) * (done < 0.5 ? 2 * done * done : 1 - 2 * (1 - done) * (1 - done));
      draw();
      if (done < 1) frame = requestAnimationFrame(next);
      else { stop(); play.textContent = to === 1 ? "Play B → A" : "Play A → B"; }
    };
    frame = requestAnimationFrame(next);
  });
  arrows.addEventListener("click", () => {
    const isShown = arrows.getAttribute("aria-pressed") !== "true";
    arrows.setAttribute("aria-pressed", String(isShown));
    panes.classList.toggle("no-arrows", !isShown);
  });
})();
