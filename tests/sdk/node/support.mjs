// What the suites have in common: providers, clients, and the results of each feature.
//
//   PROMPTGATE_TRANSLATING  the data plane of a gateway with a provider for each dialect
//   PROMPTGATE_RESULTS      the file that results are appended to, a JSON object each line

import assert from "node:assert/strict";
import { appendFileSync } from "node:fs";
import { it } from "node:test";
import Anthropic from "@anthropic-ai/sdk";
import OpenAI from "openai";
import { z } from "zod";

const { PROMPTGATE_TRANSLATING: url, PROMPTGATE_RESULTS: results } = process.env;
assert.ok(url && results, "PROMPTGATE_TRANSLATING and PROMPTGATE_RESULTS must be set");

export const models = {
  chat: "chat/gpt-5.1",
  responses: "responses/gpt-5.1",
  anthropic: "anthropic/claude-opus-5",
  gemini: "gemini/gemini-3-pro",
  bedrock: "bedrock/eu.anthropic.claude-opus-5-v1:0",
};

export const text = 'Grüße aus Oslo: “3 °C”, 世界 🌍, a \\ and a "quote".\nNext line.';
export const city = { city: "Oslo", days: 3 };
export const three = [
  ["get_weather", city],
  ["get_weather", { city: "Bergen", days: 1 }],
  ["get_time", {}],
];
export const weather = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
  additionalProperties: false,
};
export const nothing = { type: "object", properties: {}, required: [], additionalProperties: false };
export const shape = z.object({ title: z.string(), score: z.number().int(), tags: z.array(z.string()) });
export const image =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";

/** Clients that count their requests, the SDKs' retries included. */
export function clients() {
  const count = { requests: 0 };
  const counted = (...request) => {
    count.requests += 1;
    return fetch(...request);
  };
  const options = { apiKey: "any", fetch: counted, maxRetries: 2, timeout: 20_000 };
  return {
    count,
    openai: new OpenAI({ ...options, baseURL: `${url}/v1` }),
    anthropic: new Anthropic({ ...options, baseURL: url }),
  };
}

/** Which of the clients' APIs a suite asks; its features are tried through every provider. */
export function suite(client) {
  return (feature, test, providers = Object.keys(models)) => {
    for (const provider of providers) {
      it(`${feature} (${provider})`, async () => {
        const detail = (await test(provider, clients())) ?? {};
        const line = { suite: "node", client, provider, feature, outcome: "works", detail: "", ...detail };
        appendFileSync(results, `${JSON.stringify(line)}\n`);
      });
    }
  };
}

/** The error that a call or a stream ends with. */
export async function failure(promise) {
  return promise.then(
    () => assert.fail("the call succeeded"),
    (error) => error,
  );
}

/** What may be seen for what a provider answers. */
export const errors = [
  ["400", "BadRequestError", [400]],
  ["404", "NotFoundError", [404]],
  ["429", "RateLimitError", [429]],
  ["500", "InternalServerError", [500, 502, 503]],
];

/** The call fails as its class says, and the SDK asks once. */
export async function fails(sdk, count, [, name, statuses], promise) {
  const error = await failure(promise);
  assert.ok(error instanceof sdk[name], `${error.constructor.name}: ${error}`);
  assert.ok(statuses.includes(error.status), `${error}`);
  assert.ok(error.requestID, "no request id");
  assert.equal(count.requests, 1, "the SDK asked again");
  const body = error.error?.error ?? error.error;
  return { outcome: "error", detail: `${error.status} \`${body.code ?? body.type}\`` };
}
