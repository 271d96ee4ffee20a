"""OpenAI's own Python package against a server at BASE_URL with API_KEY: each of its calls that the server answers."""

import os

import openai

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5"
    "ErkJggg=="
)
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}]

client = openai.OpenAI(base_url=os.environ["BASE_URL"], api_key=os.environ["API_KEY"], max_retries=0)
HI = [{"role": "user", "content": "Hi"}]


def ask(model, messages=HI, **options):
    return client.chat.completions.create(model=model, messages=messages, **options)


assert "echo" in [model.id for model in client.models.list()]
assert client.models.retrieve("echo").owned_by == "echo"

reply = ask("fake-counts", seed=1, stop=["END"], max_tokens=50, response_format={"type": "text"})
assert reply.choices[0].message.content == "fake reply to: Hi", reply
assert reply.choices[0].finish_reason == "stop" and reply.usage.total_tokens > 0, reply
print("python: whole")

chunks = list(ask("fake-counts", stream=True, stream_options={"include_usage": True}))
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == "fake reply to: Hi", text
assert chunks[0].choices[0].delta.role == "assistant"
assert len({chunk.id for chunk in chunks}) == 1
assert chunks[-1].choices == [] and chunks[-1].usage.prompt_tokens == 1000, chunks[-1]
assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 600
assert chunks[-2].choices[0].finish_reason == "stop"
print("python: stream")

reply = ask("fake-calls", tools=TOOLS, tool_choice="auto")
call = reply.choices[0].message.tool_calls[0]
assert (call.function.name, call.function.arguments) == ("weather", '{"city": "Paris"}'), call
assert reply.choices[0].finish_reason == "tool_calls" and reply.choices[0].message.content is None, reply
answer = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
messages = HI + [reply.choices[0].message.model_dump(exclude_none=True), answer]
reply = ask("fake-calls", messages, tools=TOOLS)
assert reply.choices[0].message.content == "fake reply to: sunny", reply
with client.chat.completions.stream(model="fake-calls", messages=HI, tools=TOOLS) as stream:
    final = stream.get_final_completion().choices[0]
assert final.message.tool_calls[0].function.arguments == '{"city": "Paris"}', final
assert final.finish_reason == "tool_calls", final
print("python: tools")

look = [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
assert ask("fake-vision", [{"role": "user", "content": look}]).choices[0].message.content
print("python: vision")

vectors = client.embeddings.create(model="fake-embed", input=["a", "b"])
assert vectors.data[0].embedding == [0.5, -1.0] and vectors.usage.total_tokens == 3, vectors
print("python: embeddings")


def check(error, call):
    try:
        call()
    except error as problem:
        return problem
    raise AssertionError(f"no {error}")


problem = check(openai.NotFoundError, lambda: ask("nobody"))
assert problem.code == "model_not_found", problem.body
assert check(openai.BadRequestError, lambda: ask("echo", [])).param == "messages"
check(openai.APIError, lambda: list(ask("fake-cut", stream=True)))
stranger = client.with_options(api_key="fs-none")
assert check(openai.AuthenticationError, lambda: stranger.models.list()).code == "invalid_api_key"
print("python: errors")
