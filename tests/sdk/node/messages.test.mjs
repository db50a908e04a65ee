// Messages by the official Anthropic SDK, through every provider.

import assert from "node:assert/strict";
import { describe } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { city, errors, failure, fails, image, models, nothing, shape, suite, text, three, weather } from "./support.mjs";

const through = suite("messages");
const tools = [
  { name: "get_weather", description: "Weather.", input_schema: weather },
  { name: "get_time", input_schema: nothing },
];
const asked = (provider, word, ...parts) => ({
  model: models[provider],
  max_tokens: 4000,
  messages: [{ role: "user", content: parts.length ? [...parts, { type: "text", text: word }] : word }],
});
const calls = (message) =>
  message.content.filter((block) => block.type === "tool_use").map((block) => [block.name, block.input]);

describe("messages", () => {
  through("text", async (provider, { anthropic }) => {
    const answer = await anthropic.messages.create(asked(provider, "text"));
    assert.equal(answer.content[0].text, text);
    assert.equal(answer.stop_reason, "end_turn");
    assert.equal(answer.usage.cache_read_input_tokens, 40);
    assert.ok(answer._request_id, "no request id");
  });

  through("text, streamed", async (provider, { anthropic }) => {
    const stream = anthropic.messages.stream(asked(provider, "text"));
    let whole = "";
    stream.on("text", (piece) => {
      whole += piece;
    });
    const final = await stream.finalMessage();
    assert.equal(whole, text);
    assert.equal(final.content[0].text, text);
    assert.equal(final.usage.output_tokens, 20);
  });

  through("tool call", async (provider, { anthropic }) => {
    const answer = await anthropic.messages.create({ ...asked(provider, "tool"), tools });
    assert.equal(answer.stop_reason, "tool_use");
    assert.deepEqual(calls(answer), [["get_weather", city]]);
  });

  through("parallel tool calls, whole and streamed", async (provider, { anthropic }) => {
    const request = { ...asked(provider, "parallel-tools"), tools };
    assert.deepEqual(calls(await anthropic.messages.create(request)), three);
    assert.deepEqual(calls(await anthropic.messages.stream(request).finalMessage()), three);
  });

  through("tool results", async (provider, { anthropic }) => {
    const request = { ...asked(provider, "parallel-tools"), tools };
    const answer = await anthropic.messages.create(request);
    const results = answer.content
      .filter((block) => block.type === "tool_use")
      .map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "3 degrees" }));
    request.messages.push({ role: "assistant", content: answer.content }, { role: "user", content: results });
    const next = await anthropic.messages.create(request);
    assert.equal(next.content[0].text, "It is 3 degrees in Oslo.");
  });

  through("output by a schema, parsed", async (provider, { anthropic }) => {
    const request = { ...asked(provider, "json"), output_config: { format: zodOutputFormat(shape) } };
    const answer = await anthropic.messages.parse(request);
    assert.deepEqual(answer.parsed_output, { title: "Oslo", score: 7, tags: ["cold", "bright"] });
  });

  through("image", async (provider, { anthropic }) => {
    const part = { type: "image", source: { type: "base64", media_type: "image/png", data: image } };
    const answer = await anthropic.messages.create(asked(provider, "image", part));
    assert.equal(answer.content[0].text, "I see a red pixel.");
  });

  through("count_tokens", async (provider, { anthropic }) => {
    const { model, messages } = asked(provider, "text");
    const counted = await anthropic.messages.countTokens({ model, messages, tools });
    assert.ok(counted.input_tokens > 10);
  });

  for (const scenario of ["error-in-stream", "torn"]) {
    const feature = scenario === "torn" ? "stream that is cut" : "error in a stream";
    through(feature, async (provider, { anthropic }) => {
      let whole = "";
      const stream = await anthropic.messages.create({ ...asked(provider, scenario), stream: true });
      const read = async () => {
        for await (const event of stream) whole += event.delta?.text ?? "";
      };
      const error = await failure(read());
      assert.ok(error instanceof Anthropic.APIError, `${error}`);
      assert.equal(whole, text);
      return { outcome: "error", detail: `\`${error.error.error.type}\`` };
    });
  }

  for (const expected of errors) {
    through(`provider answers ${expected[0]}`, async (provider, { anthropic, count }) => {
      return fails(Anthropic, count, expected, anthropic.messages.create(asked(provider, `error-${expected[0]}`)));
    });
  }
});
