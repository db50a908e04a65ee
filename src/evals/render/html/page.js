"use strict";
(() => {
  document.documentElement.classList.add("has-script");
  const cases = JSON.parse(document.getElementById("data").textContent);
  const table = document.getElementById("cases");
  const step = 100;
  let limit = step;

  const element = (name, text, kind) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  };

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", () => {
      navigator.clipboard.writeText(button.dataset.copy).then(() => {
        button.textContent = "Copied";
        setTimeout(() => { button.textContent = "Copy"; }, 1500);
      });
    });
  }

  window.addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll("details.case")) one.open = true;
  });

  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const search = document.getElementById("search");
  const kind = document.getElementById("kind");
  const shown = document.getElementById("shown");
  const more = document.getElementById("more");

  const inside = (one) => {
    const cell = element("td");
    cell.colSpan = table.tHead.rows[0].cells.length;
    cell.append(element("h4", "Variables"), element("pre", one.vars, "text"));
    const beside = element("div", undefined, "beside");
    for (const [name, side] of [["Base", one.base], ["Head", one.head]]) {
      if (!side) continue;
      const part = element("div");
      part.append(element("h4", name + (side.model ? ", " + side.model : "")), element("pre", side.output));
      const list = element("ul");
      for (const line of side.why) list.append(element("li", line));
      part.append(list);
      beside.append(part);
    }
    cell.append(element("p"), beside);
    return cell;
  };

  const toggle = (row, button) => {
    const next = row.nextElementSibling;
    const isOpen = next && next.classList.contains("more");
    button.setAttribute("aria-expanded", String(!isOpen));
    if (isOpen) { next.remove(); return; }
    const detail = element("tr", undefined, "more");
    detail.append(inside(cases[Number(row.dataset.index)]));
    row.after(detail);
  };

  for (const row of rows) {
    const button = row.querySelector("td.name button");
    button.setAttribute("aria-expanded", "false");
    button.addEventListener("click", () => toggle(row, button));
  }

  const closeAll = () => {
    for (const open of body.querySelectorAll("tr.more")) open.remove();
    for (const button of body.querySelectorAll("[aria-expanded=true]")) button.setAttribute("aria-expanded", "false");
  };

  const filter = () => {
    closeAll();
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of body.rows) {
      const one = cases[Number(row.dataset.index)];
      const isKind = kind.value === "all" || row.dataset.kind.split(" ").includes(kind.value);
      const isFound = isKind && words.every((word) => one.text.includes(word));
      if (isFound) count += 1;
      row.hidden = !isFound || limit < count;
    }
    shown.textContent = Math.min(count, limit) + " of " + rows.length + " shown";
    more.hidden = count <= limit;
  };

  for (const button of table.tHead.querySelectorAll("button")) {
    button.addEventListener("click", () => {
      closeAll();
      const head = button.closest("th");
      const isUp = head.getAttribute("aria-sort") !== "ascending";
      for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
      const key = (row) => row.cells[head.cellIndex].dataset.key;
      const compare = new Intl.Collator(undefined, { numeric: true }).compare;
      const sorted = [...body.rows].sort((one, other) => {
        const [a, b] = [key(one), key(other)];
        if (a === "" || b === "") return Number(a === "") - Number(b === "");
        return (isUp ? 1 : -1) * (head.dataset.number ? Number(a) - Number(b) : compare(a, b));
      });
      body.append(...sorted);
      filter();
    });
  }

  search.addEventListener("input", () => { limit = step; filter(); });
  kind.addEventListener("change", () => { limit = step; filter(); });
  more.addEventListener("click", () => { limit = Infinity; filter(); });
  document.addEventListener("keydown", (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName);
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      search.focus();
    }
  });
  filter();
})();
