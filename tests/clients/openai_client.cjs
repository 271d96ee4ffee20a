// OpenAI's own JavaScript package against a server at BASE_URL with API_KEY: each of its calls that the server answers.
const assert = require("node:assert/strict");
const OpenAI = require("openai");

const PIXEL =
  "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5" +
  "ErkJggg==";
const tools = [{ type: "function", function: { name: "weather", parameters: { type: "object", properties: {} } } }];
const hi = [{ role: "user", content: "Hi" }];

const client = new OpenAI({ baseURL: process.env.BASE_URL, apiKey: process.env.API_KEY, maxRetries: 0 });
const ask = (model, options) => client.chat.completions.create({ model, messages: hi, ...options });

async function main() {
  const ids = [];
  for await (const model of client.models.list()) ids.push(model.id);
  assert(ids.includes("echo"));

  const whole = await ask("fake-counts", { seed: 1, stop: ["END"] });
  assert.equal(whole.choices[0].message.content, "fake reply to: Hi");
  assert(whole.usage.total_tokens > 0);
  console.log("javascript: whole");

  let text = "";
  let last;
  for await (const chunk of await ask("fake-counts", { stream: true, stream_options: { include_usage: true } })) {
    text += chunk.choices[0]?.delta.content ?? "";
    last = chunk;
  }
  assert.equal(text, "fake reply to: Hi");
  assert.equal(last.usage.prompt_tokens, 1000);
  console.log("javascript: stream");

  const called = await ask("fake-calls", { tools });
  assert.equal(called.choices[0].finish_reason, "tool_calls");
  const message = called.choices[0].message;
  assert.equal(message.tool_calls[0].function.arguments, '{"city": "Paris"}');
  const answer = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "sunny" };
  const told = await ask("fake-calls", { tools, messages: [...hi, message, answer] });
  assert.equal(told.choices[0].message.content, "fake reply to: sunny");
  const final = await client.chat.completions.stream({ model: "fake-calls", messages: hi, tools }).finalChatCompletion();
  assert.equal(final.choices[0].message.tool_calls[0].function.name, "weather");
  console.log("javascript: tools");

  const look = [
    { type: "text", text: "Look" },
    { type: "image_url", image_url: { url: PIXEL } },
  ];
  const seen = await ask("fake-vision", { messages: [{ role: "user", content: look }] });
  assert(seen.choices[0].message.content);
  console.log("javascript: vision");

  const vectors = await client.embeddings.create({ model: "fake-embed", input: ["a", "b"] });
  assert.deepEqual(Array.from(vectors.data[0].embedding), [0.5, -1.0]);
  console.log("javascript: embeddings");

  await assert.rejects(ask("nobody"), (error) => error.status === 404 && error.code === "model_not_found");
  await assert.rejects(async () => {
    for await (const chunk of await ask("fake-cut", { stream: true })) assert(chunk.id);
  }, OpenAI.APIError);
  console.log("javascript: errors");
}

main();
