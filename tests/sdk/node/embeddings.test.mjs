// Embeddings by the official OpenAI SDK, through every provider that has them.

import assert from "node:assert/strict";
import { describe } from "node:test";
import { suite } from "./support.mjs";

const embedders = {
  chat: "chat/text-embedding-3-small",
  gemini: "gemini/gemini-embedding-001",
  titan: "bedrock/amazon.titan-embed-text-v2:0",
  cohere: "bedrock/cohere.embed-v4:0",
};
const suites = suite("embeddings");
const through = (feature, test) => suites(feature, test, Object.keys(embedders));

/** The vector that the provider makes of a text. */
function vector(text, length) {
  const start = new TextEncoder().encode(text).reduce((sum, byte) => sum + byte, 0) % 97;
  return Array.from({ length }, (_, place) => (((start + 7 * place) % 101) - 50) / 64);
}

describe("embeddings", () => {
  for (const [feature, format] of [
    ["floats", { encoding_format: "float" }],
    ["base64, which the SDK asks for by itself", {}],
  ]) {
    through(feature, async (provider, { openai }) => {
      const input = ["cats", "Grüße 世界"];
      const answer = await openai.embeddings.create({ model: embedders[provider], input, ...format });
      answer.data.forEach(({ embedding }, place) => {
        assert.deepEqual([...embedding], vector(input[place], 16));
      });
    });
  }

  through("dimensions", async (provider, { openai }) => {
    const request = { model: embedders[provider], input: "cats", dimensions: 256 };
    const answer = await openai.embeddings.create(request);
    assert.deepEqual([...answer.data[0].embedding], vector("cats", 256));
  });
});
