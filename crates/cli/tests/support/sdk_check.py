"""Asks the proxy with the vendors' own SDKs, and holds every event and answer strictly against the SDKs' types."""
import json
import sys

import anthropic
import httpx
import openai
from anthropic.types import Message, RawMessageStreamEvent
from openai import OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

url, token = sys.argv[1], sys.argv[2]
events = TypeAdapter(ResponseStreamEvent)
tools = [
    {"type": "function", "name": "exec_command", "description": "Runs.", "strict": False, "parameters": {"type": "object", "properties": {}}},
    {"type": "custom", "name": "apply_patch", "description": "Edits."},
    {"type": "namespace", "name": "mcp__lab", "description": "Lab.", "tools": [{"type": "function", "name": "add", "parameters": {}}]},
]


def body(text, **more):
    return {"model": "glm-5", "input": text, "tools": tools, "metadata": {"a": "b"}, **more}


def stream_of(path, body, kind):
    """Every event of a raw stream, strictly validated."""
    headers = {"authorization": f"Bearer {token}", "anthropic-version": "2023-06-01"}
    with httpx.stream("POST", f"{url}{path}", json=body, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield kind.validate_json(line[6:], strict=True)


def raw(text):
    return [event.type for event in stream_of("/v1/responses", body(text, stream=True), events)]


def responses():
    for text in ("text", "call", "custom", "namespace", "length", "filter", "cut"):
        kinds = raw(text)
        assert kinds[0] == "response.created", kinds
        print(text, kinds[-1])
    client = OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
    with client.responses.stream(model="glm-5", input="text") as stream:
        final = [event.type for event in stream][-1]
        assert final == "response.completed", final
        assert stream.get_final_response().output_text == "Hello there.", stream.get_final_response()
    plain = client.responses.with_raw_response.create(**body("text"))
    Response.model_validate_json(plain.text, strict=True)
    made = plain.parse()
    assert made.output_text == "Hello there."
    keys = set(json.loads(plain.text))
    wanted = {name for name, field in Response.model_fields.items() if field.is_required()}
    assert wanted <= keys, wanted - keys
    assert client.responses.retrieve(made.id).output_text == "Hello there."
    items = client.responses.input_items.list(made.id).data
    assert [item.type for item in items] == ["message"] and items[0].id, items
    assert client.responses.input_tokens.count(model="glm-5", input="text").input_tokens > 0
    client.responses.delete(made.id)
    try:
        client.responses.retrieve(made.id)
        raise AssertionError("it was deleted")
    except openai.NotFoundError:
        pass
    names = [model.id for model in client.models.list()]
    assert names == ["glm-5"], names
    assert client.models.retrieve("glm-5").id == "glm-5"


def refusals():
    """What is wrong with a request appears as the exception that the SDK has for it."""
    client = OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
    many = {str(key): "x" for key in range(17)}
    cases = [
        ("unknown role", {"input": [{"role": "alien", "content": "x"}]}),
        ("tool without a name", {"input": "x", "tools": [{"type": "function", "parameters": {}}]}),
        ("too many pairs", {"input": "x", "metadata": many}),
        ("too long a value", {"input": "x", "metadata": {"k": "x" * 513}}),
        ("unknown model", {"input": "x", "model": "nobody-lists-me"}),
    ]
    for name, fields in cases:
        try:
            client.responses.create(**{"model": "glm-5", **fields})
            raise AssertionError(f"{name} was taken")
        except openai.APIStatusError as error:
            assert error.type == "invalid_request_error", error.body
            assert set(error.body) == {"message", "type", "param", "code"}, error.body
            print(f"refused {name}: {type(error).__name__} {error.param} {error.code}")
    try:
        OpenAI(base_url=f"{url}/v1", api_key="wrong", max_retries=0).responses.create(model="glm-5", input="x")
        raise AssertionError("a wrong token was taken")
    except openai.AuthenticationError as error:
        print(f"refused wrong token: {type(error).__name__}")


def chat():
    chunks = TypeAdapter(ChatCompletionChunk)
    functions = [{"type": "function", "function": {"name": "exec_command", "parameters": {"type": "object", "properties": {"cmd": {"type": "string"}}}}}]
    ask = lambda text, **more: {"model": "glm-5", "messages": [{"role": "user", "content": text}], "tools": functions, **more}
    for text in ("text", "call", "length", "filter"):
        got = list(stream_of("/v1/chat/completions", ask(text, stream=True, stream_options={"include_usage": True}), chunks))
        reasons = [choice.finish_reason for chunk in got for choice in chunk.choices if choice.finish_reason]
        assert len(reasons) == 1 and got[-1].usage, (text, reasons)
        print("chat", text, reasons[0])
    client = OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
    with client.chat.completions.stream(**ask("text")) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content == "Hello there."
    plain = client.chat.completions.with_raw_response.create(**ask("call"))
    call = ChatCompletion.model_validate_json(plain.text, strict=True).choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("exec_command", {"cmd": "ls"}), call
    for text, kind in (("cut", openai.APIError),):
        try:
            list(client.chat.completions.create(**ask(text, stream=True)))
            raise AssertionError(f"{text} ended well")
        except kind:
            pass


def messages():
    kinds = TypeAdapter(RawMessageStreamEvent)
    functions = [{"name": "exec_command", "input_schema": {"type": "object", "properties": {"cmd": {"type": "string"}}}}]
    ask = lambda text, **more: {"model": "glm-5", "max_tokens": 100, "messages": [{"role": "user", "content": text}], "tools": functions, **more}
    for text in ("text", "call", "length", "filter"):
        got = [event for event in stream_of("/v1/messages", ask(text, stream=True), kinds) if event.type != "ping"]
        assert (got[0].type, got[-1].type) == ("message_start", "message_stop"), got
        print("messages", text, next(event.delta.stop_reason for event in got if event.type == "message_delta"))
    client = anthropic.Anthropic(base_url=url, api_key=token, max_retries=0)
    with client.messages.stream(**ask("text")) as stream:
        final = stream.get_final_message()
        assert [block.type for block in final.content] == ["thinking", "text"], final
        assert final.content[1].text == "Hello there."
    plain = client.messages.with_raw_response.create(**ask("call"))
    call = Message.model_validate_json(plain.http_response.text, strict=True).content[0]
    assert (call.name, call.input) == ("exec_command", {"cmd": "ls"}), call
    count = ask("How many tokens are in here?")
    del count["max_tokens"]
    assert client.messages.count_tokens(**count).input_tokens > 5
    assert [model.id for model in client.models.list()] == ["glm-5"]
    try:
        with client.messages.stream(**ask("cut")) as stream:
            stream.get_final_message()
        raise AssertionError("a cut answer ended well")
    except anthropic.APIError:
        pass
    try:
        client.messages.create(model="unknown-model", max_tokens=9, messages=[])
        raise AssertionError("an empty conversation was taken")
    except anthropic.BadRequestError as error:
        assert "messages" in error.message, error


def main():
    responses()
    refusals()
    chat()
    messages()
    print("fine")


main()
