#!/bin/sh
# What the Flutter client does, from the command line: create a user, sign in with the form, create a chat, send a
# message, list everything again and mark the reply as read. Needs a running server and curl, nothing else:
#
#   fireside &
#   sh examples/curl-flutter.sh
#
# BASE_URL, NAME and PASSWORD change where it goes and as whom. The same token opens the WebSocket at
# $BASE_URL/ws?token=…, where other devices see all of this as it happens.
set -eu

BASE_URL=${BASE_URL:-http://localhost:8000}
NAME=${NAME:-alice}
PASSWORD=${PASSWORD:-password123}

# The value of a string field of a JSON object on standard input; the last one, where several have that name.
field() {
    sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p"
}

# curl, quiet but for errors; a reply of 400 or more ends the script.
request() {
    curl --silent --show-error --fail-with-body "$@"
}

echo "Create the user. On the second run the name is taken, which is a 400 and no reason to stop."
curl --silent --show-error -X POST "$BASE_URL/users/" \
    -H "Content-Type: application/json" \
    -d "{\"username\": \"$NAME\", \"email\": \"$NAME@example.com\", \"password\": \"$PASSWORD\"}"
echo

# The token is a secret: it is kept in a variable and never printed.
echo "Sign in with the form and keep the token."
token=$(request -X POST "$BASE_URL/token" \
    --data-urlencode "username=$NAME" \
    --data-urlencode "password=$PASSWORD" | field access_token)
test -n "$token"

echo "Who is this?"
request "$BASE_URL/users/me" -H "Authorization: Bearer $token"
echo

echo "Create a chat."
chat=$(request -X POST "$BASE_URL/chats/" \
    -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" \
    -d '{"title": "From the phone"}')
echo "$chat"
chat_id=$(echo "$chat" | field id)
test -n "$chat_id"

echo "Send a message. It comes back once the reply is stored."
request -X POST "$BASE_URL/chats/$chat_id/messages/" \
    -H "Authorization: Bearer $token" \
    -H "Content-Type: application/json" \
    -d '{"content": "Hello, AI!", "type": "text", "media_urls": []}'
echo

echo "Read the messages."
messages=$(request "$BASE_URL/chats/$chat_id/messages/" -H "Authorization: Bearer $token")
echo "$messages"

echo "Mark the reply, which is the last of them, as read."
reply_id=$(echo "$messages" | field id)
test -n "$reply_id"
request -X PUT "$BASE_URL/messages/$reply_id/read" -H "Authorization: Bearer $token"
echo

echo "The chat, and all chats."
request "$BASE_URL/chats/$chat_id" -H "Authorization: Bearer $token"
echo
request "$BASE_URL/chats/" -H "Authorization: Bearer $token"
echo
