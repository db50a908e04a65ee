// The list of models by both official SDKs for Node.

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { clients } from "./support.mjs";

const model = "anthropic/claude-opus-5";

async function all(pages) {
  const found = [];
  for await (const one of pages) {
    found.push(one);
  }
  return found;
}

describe("models", () => {
  it("are listed and retrieved by OpenAI's client", async () => {
    const { openai } = clients();
    const listed = (await all(openai.models.list())).find(({ id }) => id === model);
    assert.equal(listed.owned_by, "anthropic");
    assert.ok(listed.context_length > 0, "no size");
    assert.match(listed.pricing.input, /^\d+(\.\d+)?$/);
    for (const name of [model, "claude-opus-5"]) {
      assert.equal((await openai.models.retrieve(name)).id, model);
    }
    await assert.rejects(openai.models.retrieve("anthropic/nothing"), OpenAI.NotFoundError);
  });

  it("are listed in pages and retrieved by Anthropic's client", async () => {
    const { anthropic, openai } = clients();
    const first = await anthropic.models.list({ limit: 3 });
    assert.deepEqual([first.data.length, first.has_more], [3, true]);
    const ids = (await all(anthropic.models.list({ limit: 100 }))).map(({ id }) => id);
    assert.deepEqual(
      ids,
      (await all(openai.models.list())).map(({ id }) => id),
    );
    const shown = await anthropic.models.retrieve(model);
    assert.deepEqual([shown.id, shown.type, shown.display_name], [model, "model", "claude-opus-5"]);
    await assert.rejects(anthropic.models.retrieve("anthropic/nothing"), Anthropic.NotFoundError);
  });
});
