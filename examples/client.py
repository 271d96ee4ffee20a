#!/usr/bin/env python3
"""A session with Fireside from Python, with nothing but its standard library.

    fireside &
    python3 examples/client.py

Makes an account (or signs in, when it is there), creates a chat, sends a message, and reads the chat back.
BASE_URL, EMAIL and PASSWORD change where it goes and as whom.
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

# Longer than any model should think. Without a limit a program waits for ever.
TIMEOUT_S = 120


class ApiError(Exception):
    """An answer that says no, with the server's own sentence."""

    def __init__(self, status, detail):
        super().__init__(f"{status}: {detail}")
        self.status = status


class Client:
    """The API of one server, as one user once a token is known."""

    def __init__(self, base_url):
        self.base_url = base_url.rstrip("/")
        self.token = None

    def request(self, method, path, body=None):
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(self.base_url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as reply:
                content = reply.read()
        except urllib.error.HTTPError as error:
            raise ApiError(error.code, detail_of(error.read())) from None
        return json.loads(content) if content else None

    def enter(self, email, password):
        """Makes the account, or signs in to it."""
        credentials = {"email": email, "password": password}
        try:
            account = self.request("POST", "/auth/register", credentials)
        except ApiError as error:
            # 409: it is there already. 403: accounts are made by whoever runs the server.
            if error.status not in (403, 409):
                raise
            account = self.request("POST", "/auth/login", credentials)
        self.token = account["access_token"]

    def create_chat(self, title):
        return self.request("POST", "/chats", {"title": title})

    def send(self, chat_id, message):
        """Sends a message, waits for the model and returns its reply."""
        answer = self.request("POST", "/chat", {"chat_id": chat_id, "message": message})
        return answer["reply"]

    def messages(self, chat_id):
        return self.request("GET", f"/chats/{urllib.parse.quote(chat_id)}/messages")


def detail_of(content):
    """What an error says: a sentence, or a list of what is wrong with the request."""
    try:
        detail = json.loads(content)["detail"]
    except (ValueError, KeyError, TypeError):
        return content.decode(errors="replace") or "no reason given"
    if isinstance(detail, str):
        return detail
    return "; ".join(f"{'.'.join(map(str, issue['loc']))}: {issue['msg']}" for issue in detail)


def main():
    client = Client(os.environ.get("BASE_URL", "http://localhost:8000"))
    client.enter(
        os.environ.get("EMAIL", "python@example.com"),
        os.environ.get("PASSWORD", "password123"),
    )
    chat = client.create_chat("Hello from Python")
    print(f"Chat {chat['id']}")
    client.send(chat["id"], "Hello, AI!")
    for message in client.messages(chat["id"]):
        print(f"{message['role']}: {message['content']}")


if __name__ == "__main__":
    try:
        main()
    except (ApiError, OSError) as error:
        sys.exit(f"client.py: {error}")
