// Chat completions by the official OpenAI SDK, through every provider.

import assert from "node:assert/strict";
import { describe } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { city, errors, failure, fails, image, models, nothing, shape, suite, text, three, weather } from "./support.mjs";

const through = suite("chat");
const tools = [
  { type: "function", function: { name: "get_weather", description: "Weather.", parameters: weather } },
  { type: "function", function: { name: "get_time", parameters: nothing } },
];
const said = (word, ...parts) => [
  { role: "user", content: parts.length ? [{ type: "text", text: word }, ...parts] : word },
];
const calls = (message) =>
  message.tool_calls.map((call) => [call.function.name, JSON.parse(call.function.arguments)]);

describe("chat completions", () => {
  through("text", async (provider, { openai }) => {
    const request = { model: models[provider], messages: said("text") };
    const answer = await openai.chat.completions.create(request);
    assert.equal(answer.choices[0].message.content, text);
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.equal(answer.usage.prompt_tokens_details.cached_tokens, 40);
  });

  through("text, streamed", async (provider, { openai }) => {
    const request = { model: models[provider], messages: said("text"), stream: true };
    let whole = "";
    for await (const chunk of await openai.chat.completions.create(request)) {
      whole += chunk.choices[0]?.delta.content ?? "";
    }
    assert.equal(whole, text);
  });

  through("usage of a stream", async (provider, { openai }) => {
    const request = { model: models[provider], messages: said("text"), stream_options: { include_usage: true } };
    const final = await openai.chat.completions.stream(request).finalChatCompletion();
    assert.equal(final.usage.total_tokens, 120);
  });

  through("tool call", async (provider, { openai }) => {
    const answer = await openai.chat.completions.create({ model: models[provider], messages: said("tool"), tools });
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    assert.deepEqual(calls(answer.choices[0].message), [["get_weather", city]]);
  });

  through("parallel tool calls, streamed", async (provider, { openai }) => {
    const request = { model: models[provider], messages: said("parallel-tools"), tools };
    const final = await openai.chat.completions.stream(request).finalChatCompletion();
    assert.deepEqual(calls(final.choices[0].message), three);
  });

  through("tool results", async (provider, { openai }) => {
    // The SDK's own loop: it calls the functions and asks again.
    const run = (result) => ({ parse: JSON.parse, function: () => result });
    const functions = [
      { ...tools[0], function: { ...tools[0].function, ...run("3 degrees") } },
      { ...tools[1], function: { ...tools[1].function, ...run("noon") } },
    ];
    const request = { model: models[provider], messages: said("parallel-tools"), tools: functions };
    const runner = openai.chat.completions.runTools(request);
    assert.equal(await runner.finalContent(), "It is 3 degrees in Oslo.");
  });

  through("output by a schema, parsed", async (provider, { openai }) => {
    const answer = await openai.chat.completions.parse({
      model: models[provider],
      messages: said("json"),
      response_format: zodResponseFormat(shape, "answer"),
    });
    assert.deepEqual(answer.choices[0].message.parsed, { title: "Oslo", score: 7, tags: ["cold", "bright"] });
  });

  through("image", async (provider, { openai }) => {
    const part = { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } };
    const answer = await openai.chat.completions.create({ model: models[provider], messages: said("image", part) });
    assert.equal(answer.choices[0].message.content, "I see a red pixel.");
  });

  for (const scenario of ["error-in-stream", "torn"]) {
    const feature = scenario === "torn" ? "stream that is cut" : "error in a stream";
    through(feature, async (provider, { openai }) => {
      const request = { model: models[provider], messages: said(scenario), stream: true };
      const stream = await openai.chat.completions.create(request);
      let whole = "";
      const read = async () => {
        for await (const chunk of stream) whole += chunk.choices[0]?.delta.content ?? "";
      };
      const error = await failure(read());
      assert.ok(error instanceof OpenAI.APIError, `${error}`);
      assert.equal(whole, text);
      return { outcome: "error", detail: `\`${error.code}\`` };
    });
  }

  for (const expected of errors) {
    through(`provider answers ${expected[0]}`, async (provider, { openai, count }) => {
      const request = { model: models[provider], messages: said(`error-${expected[0]}`) };
      return fails(OpenAI, count, expected, openai.chat.completions.create(request));
    });
  }
});
