// The official OpenAI SDK for Node against a running promptgate.
//
//   PROMPTGATE_URL    the data plane without keys, http://127.0.0.1:PORT
//   PROMPTGATE_KEYED  the data plane of a gateway that wants a key
//   PROMPTGATE_KEY    a key of that one

import assert from "node:assert/strict";
import { describe, it } from "node:test";
import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

const { PROMPTGATE_URL: url, PROMPTGATE_KEYED: keyed, PROMPTGATE_KEY: key } = process.env;
assert.ok(url && keyed && key, "PROMPTGATE_URL, PROMPTGATE_KEYED and PROMPTGATE_KEY must be set");

const messages = [{ role: "user", content: "hello" }];
const weather = {
  type: "function",
  function: {
    name: "get_weather",
    strict: true,
    parameters: {
      type: "object",
      properties: { city: { type: "string" } },
      required: ["city"],
      additionalProperties: false,
    },
  },
};

const client = (options = {}) => new OpenAI({ baseURL: `${url}/v1`, apiKey: "any", ...options });

/** A client that counts its requests, the SDK's retries included. */
function counting(options = {}) {
  const count = { requests: 0 };
  const counted = (...request) => {
    count.requests += 1;
    return fetch(...request);
  };
  return [client({ fetch: counted, maxRetries: 2, ...options }), count];
}

/** The call fails with `type` and `status`, and the SDK asked once. */
async function fails(type, status, code, request, options) {
  const [sdk, count] = counting(options);
  const error = await sdk.chat.completions
    .create({ model: "simulated/gpt", messages, ...request })
    .then(() => assert.fail("the call succeeded"), (error) => error);
  assert.ok(error instanceof type, `${error}`);
  if (status) assert.equal(error.status, status);
  if (code) assert.equal(error.code, code);
  assert.ok(error.requestID, "no request id");
  assert.ok(error.error.message);
  assert.equal(count.requests, 1, "the SDK asked again");
  return error;
}

describe("chat", () => {
  it("answers", async () => {
    const answer = await client().chat.completions.create({ model: "simulated/gpt", messages });
    assert.equal(answer.object, "chat.completion");
    assert.equal(answer.choices[0].finish_reason, "stop");
    assert.ok(answer.choices[0].message.content);
    assert.ok(answer.usage.prompt_tokens > 0);
    assert.ok(answer._request_id);
  });

  it("streams the same text", async () => {
    const model = "simulated/gpt?text=one%20two%20three&chunks=3";
    const whole = await client().chat.completions.create({ model, messages });
    const stream = await client().chat.completions.create({ model, messages, stream: true });
    let text = "";
    for await (const chunk of stream) {
      assert.ok(chunk.usage == null);
      text += chunk.choices[0]?.delta.content ?? "";
    }
    assert.equal(text, whole.choices[0].message.content);
  });

  it("streams usage when asked", async () => {
    const stream = await client().chat.completions.create({
      model: "simulated/gpt",
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    let last;
    for await (const chunk of stream) last = chunk;
    assert.ok(last.usage.total_tokens > 0);
  });

  it("calls tools, whole and streamed", async () => {
    const request = { model: "simulated/tools", messages, tools: [weather] };
    const answer = await client().chat.completions.create(request);
    assert.equal(answer.choices[0].finish_reason, "tool_calls");
    const [call] = answer.choices[0].message.tool_calls;
    assert.equal(typeof JSON.parse(call.function.arguments).city, "string");
    const final = await client().chat.completions.stream(request).finalChatCompletion();
    const [streamed] = final.choices[0].message.tool_calls;
    assert.equal(typeof JSON.parse(streamed.function.arguments).city, "string");
  });

  it("parses structured output", async () => {
    const shape = z.object({ title: z.string(), score: z.number().int(), tags: z.array(z.string()) });
    const answer = await client().chat.completions.parse({
      model: "simulated/gpt",
      messages,
      response_format: zodResponseFormat(shape, "answer"),
    });
    shape.parse(answer.choices[0].message.parsed);
  });
});

describe("embeddings and models", () => {
  it("embeds in both encodings", async () => {
    const request = { model: "simulated/embedding", input: ["a cat", "a dog"] };
    const decoded = await client().embeddings.create(request);
    const floats = await client().embeddings.create({ ...request, encoding_format: "float" });
    assert.equal(decoded.data.length, 2);
    decoded.data.forEach(({ embedding }, index) => {
      const other = floats.data[index].embedding;
      assert.equal(embedding.length, other.length);
      embedding.forEach((value, place) => assert.ok(Math.abs(value - other[place]) < 1e-5));
    });
  });

  it("lists and retrieves models", async () => {
    const ids = [];
    for await (const model of client().models.list()) ids.push(model.id);
    assert.ok(ids.includes("prompt:greet"), `${ids}`);
    assert.equal((await client().models.retrieve("prompt:greet")).id, "prompt:greet");
    await assert.rejects(client().models.retrieve("prompt:nothing"), OpenAI.NotFoundError);
  });
});

describe("prompts", () => {
  const variables = { name: "Ada" };
  for (const [way, request] of [
    ["model", { model: "prompt:greet", messages: [], prompt: { variables } }],
    ["object", { model: "simulated/echo", messages, prompt: { id: "greet", variables } }],
  ]) {
    it(`are named by ${way}`, async () => {
      const { data, response } = await client().chat.completions.create(request).withResponse();
      assert.equal(response.headers.get("x-promptgate-prompt"), "greet");
      assert.ok(data.choices[0].message.content.includes("Greet Ada politely."));
    });
  }
});

describe("errors are typed, and final ones are not asked again", () => {
  it("401", async () => {
    const there = { baseURL: `${keyed}/v1` };
    await fails(OpenAI.AuthenticationError, 401, null, {}, { ...there, apiKey: "wrong" });
    const [sdk] = counting({ ...there, apiKey: key });
    assert.ok((await sdk.chat.completions.create({ model: "simulated/gpt", messages })).choices);
  });

  it("400", async () => {
    const wrong = { model: "simulated/gpt?no_such_option=1" };
    await fails(OpenAI.BadRequestError, 400, null, wrong);
    const empty = { model: "prompt:greet", messages: [] };
    await fails(OpenAI.BadRequestError, 400, "missing_prompt_variables", empty);
  });

  it("404", async () => {
    await fails(OpenAI.NotFoundError, 404, "model_not_found", { model: "nobody/knows-this" });
    await fails(OpenAI.NotFoundError, 404, "prompt_not_found", { model: "prompt:gret" });
  });

  it("429", async () => {
    const limited = { model: "simulated/gpt?fail=429&retry_after=60" };
    await fails(OpenAI.RateLimitError, 429, null, limited);
  });

  for (const fault of ["500", "503", "reset", "malformed", "empty"]) {
    it(`5xx: ${fault}`, async () => {
      const model = `simulated/gpt?fail=${fault}`;
      const error = await fails(OpenAI.InternalServerError, null, null, { model });
      assert.equal(error.headers.get("x-should-retry"), "false");
    });
  }

  for (const fault of ["cut", "event", "reset"]) {
    it(`a broken stream raises: ${fault}`, async () => {
      const model = `simulated/gpt?chunks=8&fail=${fault}&after=3`;
      const stream = await client().chat.completions.create({ model, messages, stream: true });
      await assert.rejects(async () => {
        for await (const _ of stream);
      }, OpenAI.APIError);
    });
  }
});
