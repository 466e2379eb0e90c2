"""Asks the proxy with the vendor's own SDK, and holds every event and answer strictly against the SDK's types."""
import json
import sys

import httpx
from openai import OpenAI
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


def raw(text):
    """Every event of a raw stream, strictly validated."""
    headers = {"authorization": f"Bearer {token}"}
    kinds = []
    with httpx.stream("POST", f"{url}/v1/responses", json=body(text, stream=True), headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        for line in answer.iter_lines():
            if line.startswith("data: ") and line != "data: [DONE]":
                event = events.validate_json(line[6:], strict=True)
                kinds.append(event.type)
    return kinds


def main():
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
    assert plain.parse().output_text == "Hello there."
    keys = set(json.loads(plain.text))
    wanted = {name for name, field in Response.model_fields.items() if field.is_required()}
    assert wanted <= keys, wanted - keys
    names = [model.id for model in client.models.list()]
    assert names == ["glm-5"], names
    assert client.models.retrieve("glm-5").id == "glm-5"
    print("fine")


main()
