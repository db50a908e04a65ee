// Responses by the official OpenAI SDK, through every provider.

import assert from "node:assert/strict";
import { describe } from "node:test";
import OpenAI from "openai";
import { zodTextFormat } from "openai/helpers/zod";
import { city, errors, fails, image, models, nothing, shape, suite, text, three, weather } from "./support.mjs";

const through = suite("responses");
const tools = [
  { type: "function", name: "get_weather", description: "Weather.", parameters: weather, strict: true },
  { type: "function", name: "get_time", parameters: nothing, strict: false },
];
const calls = (answer) =>
  answer.output
    .filter((item) => item.type === "function_call")
    .map((call) => [call.name, JSON.parse(call.arguments)]);

describe("responses", () => {
  through("text", async (provider, { openai }) => {
    const answer = await openai.responses.create({ model: models[provider], input: "text" });
    assert.equal(answer.output_text, text);
    assert.equal(answer.status, "completed");
    assert.equal(answer.usage.input_tokens_details.cached_tokens, 40);
  });

  through("text, streamed", async (provider, { openai }) => {
    const request = { model: models[provider], input: "text", stream: true };
    let whole = "";
    let next = 0;
    for await (const event of await openai.responses.create(request)) {
      assert.equal(event.sequence_number, next);
      next += 1;
      if (event.type === "response.output_text.delta") whole += event.delta;
    }
    assert.equal(whole, text);
    const final = await openai.responses.stream({ model: models[provider], input: "text" }).finalResponse();
    assert.equal(final.output_text, text);
  });

  through("tool call", async (provider, { openai }) => {
    const answer = await openai.responses.create({ model: models[provider], input: "tool", tools });
    assert.deepEqual(calls(answer), [["get_weather", city]]);
  });

  through("parallel tool calls, whole and streamed", async (provider, { openai }) => {
    const request = { model: models[provider], input: "parallel-tools", tools };
    assert.deepEqual(calls(await openai.responses.create(request)), three);
    assert.deepEqual(calls(await openai.responses.stream(request).finalResponse()), three);
  });

  through("tool results", async (provider, { openai }) => {
    const input = [{ role: "user", content: "parallel-tools" }];
    const answer = await openai.responses.create({ model: models[provider], input, tools });
    input.push(...answer.output);
    for (const call of answer.output.filter((item) => item.type === "function_call")) {
      input.push({ type: "function_call_output", call_id: call.call_id, output: "3 degrees" });
    }
    const next = await openai.responses.create({ model: models[provider], input, tools });
    assert.equal(next.output_text, "It is 3 degrees in Oslo.");
  });

  through("output by a schema, parsed", async (provider, { openai }) => {
    const answer = await openai.responses.parse({
      model: models[provider],
      input: "json",
      text: { format: zodTextFormat(shape, "answer") },
    });
    assert.deepEqual(answer.output_parsed, { title: "Oslo", score: 7, tags: ["cold", "bright"] });
  });

  through("image", async (provider, { openai }) => {
    const part = { type: "input_image", image_url: `data:image/png;base64,${image}`, detail: "auto" };
    const input = [{ role: "user", content: [{ type: "input_text", text: "image" }, part] }];
    const answer = await openai.responses.create({ model: models[provider], input });
    assert.equal(answer.output_text, "I see a red pixel.");
  });

  for (const expected of errors) {
    through(`provider answers ${expected[0]}`, async (provider, { openai, count }) => {
      const request = { model: models[provider], input: `error-${expected[0]}` };
      return fails(OpenAI, count, expected, openai.responses.create(request));
    });
  }
});
