//! The table of what Fireside answers otherwise than the recorded systems did, and why.

/// A recorded system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum System {
    AiChat,
    Flutter,
    Todo,
    ChatAi,
}

impl System {
    pub(super) fn file(self) -> &'static str {
        match self {
            AiChat => "aichat_seed_new.txt",
            Flutter => "cote_new.txt",
            Todo => "todo_old.txt",
            ChatAi => "chatai.txt",
        }
    }
}

/// Allowed differences: of which system, in which exchanges (a key, or all that begin with what stands before `*`),
/// which, and why.
pub(super) struct Deviation {
    pub(super) system: System,
    pub(super) exchange: &'static str,
    pub(super) differences: &'static [&'static str],
    pub(super) reason: &'static str,
}

impl Deviation {
    pub(super) fn is_about(&self, system: System, key: &str) -> bool {
        let start = self.exchange.strip_suffix('*');
        self.system == system && start.map_or(self.exchange == key, |start| key.starts_with(start))
    }
}

const fn row(
    system: System,
    exchange: &'static str,
    differences: &'static [&'static str],
    reason: &'static str,
) -> Deviation {
    Deviation {
        system,
        exchange,
        differences,
        reason,
    }
}

const BOTH_SLASHES: &str = "both slash forms are served, never a redirect";
const TWO_FAMILIES: &str = "where two families use the two slash forms differently, the slash decides";
const ONE_SENTENCE: &str = "every family says it with one sentence";
const ONE_USER: &str = "one user object for all families";
const ONE_CHAT: &str = "one chat object for all families";
const ONE_MESSAGE: &str = "one message object for all families";
const ANY_TYPE: &str = "JSON is accepted with or without its content type";
const NEVER_403: &str = "a missing token is a 401, never a 403";
const ACCOUNTS: &str = "accounts can be read and sessions be ended";
const ONE_REGISTRATION: &str = "one way to register: 201, 409 for an e-mail that is taken";
const STATE: &str = "every message carries its state, and says why it failed";
const ONE_CALL: &str = "only the reply asks a model: titles and intents cost nothing";
const COUNTED: &str = "usage says whether it was counted by the model's server or estimated";
const OWNER_ONLY: &str = "usage is its owner's";
const ATTACHMENTS: &str = "a message names its attachments";
const FOREIGN: &str = "somebody else's is as if it did not exist";

const CHAT: &[&str] = &[
    "new $.conversation_id",
    "new $.last_message_time",
    "new $.last_message_content",
    "new $.is_pinned",
    "new $.is_archived",
];

const CHATS: &[&str] = &[
    "new $.chats[].conversation_id",
    "new $.chats[].last_message_time",
    "new $.chats[].last_message_content",
    "new $.chats[].is_pinned",
    "new $.chats[].is_archived",
];

const FLUTTER_CHAT: &[&str] = &[
    "new $.conversation_id",
    "new $.user_id",
    "new $.updated_at",
    "new $.message_count",
    "new $.is_archived",
];

use System::{AiChat, ChatAi, Flutter, Todo};

pub(super) const DEVIATIONS: &[Deviation] = &[
    row(
        AiChat,
        "POST /auth/register [ok]",
        &["new $.access_token", "new $.token_type"],
        "registering signs in",
    ),
    row(
        AiChat,
        "POST /auth/register [ok]",
        &["new $.username", "new $.display_name", "new $.role"],
        ONE_USER,
    ),
    row(
        AiChat,
        "POST /auth/register [short pw+bad email]",
        &["length $.detail"],
        "passwords have 1 to 1024 bytes",
    ),
    row(
        AiChat,
        "POST /auth/register [json sent as text/plain]",
        &["status 201"],
        ANY_TYPE,
    ),
    row(
        AiChat,
        "POST /auth/register [no content-type]",
        &["status 201"],
        ANY_TYPE,
    ),
    row(AiChat, "POST /auth/login [unknown]", &["text $.detail"], ONE_SENTENCE),
    row(AiChat, "POST /auth/token [unknown]", &["text $.detail"], ONE_SENTENCE),
    row(AiChat, "GET /chats [bad token]", &["text $.detail"], ONE_SENTENCE),
    row(AiChat, "GET /chats [expired]", &["text $.detail"], ONE_SENTENCE),
    row(AiChat, "GET /chats [Bearer empty]", &["text $.detail"], ONE_SENTENCE),
    row(AiChat, "POST /chats/ [slash]", &["status 422"], TWO_FAMILIES),
    row(AiChat, "GET /chats/ [slash]", &["status 200"], TWO_FAMILIES),
    row(AiChat, "GET /health/ [slash]", &["status 200"], BOTH_SLASHES),
    row(AiChat, "POST /chats [*", CHAT, ONE_CHAT),
    row(AiChat, "GET /chats/{chat} []", CHAT, ONE_CHAT),
    row(AiChat, "PATCH /chats/{chat} []", CHAT, ONE_CHAT),
    row(AiChat, "GET /chats [*", CHATS, ONE_CHAT),
    row(
        AiChat,
        "GET /chats [list]",
        &["new $.total"],
        "the recording is cut before it",
    ),
    row(
        AiChat,
        "POST /chat [missing chat_id]",
        &["status 200"],
        "a message without a chat makes one",
    ),
    row(
        AiChat,
        "POST /chat [provider fails]",
        &["text $.detail"],
        "the sentence ends in the provider's own words",
    ),
    row(
        AiChat,
        "GET /chats/{chat}/messages*",
        &[
            "new $[].type",
            "new $[].sender",
            "new $[].timestamp",
            "new $[].status",
            "new $[].media_urls",
            "new $[].reply_to_id",
            "new $[].importance_level",
            "new $[].model",
        ],
        ONE_MESSAGE,
    ),
    row(
        AiChat,
        "GET /chats/{chat}/messages*",
        &["new $[].state", "new $[].error"],
        STATE,
    ),
    row(
        AiChat,
        "GET /health*",
        &["new $.version"],
        "health says which version is healthy",
    ),
    row(
        AiChat,
        "HEAD /health [HEAD]",
        &["status 200"],
        "HEAD works wherever GET does",
    ),
    row(AiChat, "GET /users/me []", &["status 200"], ACCOUNTS),
    row(AiChat, "GET /auth/me []", &["status 200"], ACCOUNTS),
    row(AiChat, "POST /auth/logout []", &["status 200"], ACCOUNTS),
    row(AiChat, "GET /chats [after logout]", &["status 401"], ACCOUNTS),
    row(
        Flutter,
        "GET / []",
        &["new $.version", "new $.docs"],
        "the greeting says which version it is",
    ),
    row(Flutter, "POST /users [no slash]", &["status 200"], BOTH_SLASHES),
    row(
        Flutter,
        "POST /users/ [*",
        &["new $.display_name", "new $.role", "new $.created_at"],
        ONE_USER,
    ),
    row(
        Flutter,
        "GET /users/me []",
        &[
            "new $.display_name",
            "new $.role",
            "new $.created_at",
            "new $.system_prompt",
        ],
        ONE_USER,
    ),
    row(Flutter, "GET /users/me/ [slash]", &["status 200"], BOTH_SLASHES),
    row(Flutter, "GET /chats [no slash]", &["status 200"], TWO_FAMILIES),
    row(Flutter, "POST /chats/ []", FLUTTER_CHAT, ONE_CHAT),
    row(Flutter, "GET /chats/{chat} []", FLUTTER_CHAT, ONE_CHAT),
    row(Flutter, "GET /chats/{chat}/ [slash]", &["status 200"], BOTH_SLASHES),
    row(
        Flutter,
        "GET /chats/nope [404]",
        &["text $.detail"],
        "the sentence of the other family that has the route",
    ),
    row(
        Flutter,
        "GET /chats/{chat}/messages [noslash]",
        &["status 200"],
        TWO_FAMILIES,
    ),
    row(
        Flutter,
        "POST /chats/{chat}/messages/ [*",
        &["new $.chat_id", "new $.role", "new $.created_at", "new $.model"],
        ONE_MESSAGE,
    ),
    row(
        Flutter,
        "POST /chats/{chat}/messages/ [*",
        &["new $.state", "new $.error"],
        STATE,
    ),
    row(
        Flutter,
        "GET /chats/{chat}/messages/ [*",
        &["new $[].chat_id", "new $[].role", "new $[].created_at", "new $[].model"],
        ONE_MESSAGE,
    ),
    row(
        Flutter,
        "GET /chats/{chat}/messages/ [*",
        &["new $[].state", "new $[].error"],
        STATE,
    ),
    row(
        Flutter,
        "GET /chats/ [list]",
        &[
            "new $[].conversation_id",
            "new $[].user_id",
            "new $[].updated_at",
            "new $[].message_count",
            "new $[].is_archived",
        ],
        ONE_CHAT,
    ),
    row(Flutter, "GET /chats/{chat} [other user]", &["status 404"], FOREIGN),
    row(
        Flutter,
        "GET /chats/{chat}/messages/ [other user]",
        &["status 404"],
        FOREIGN,
    ),
    row(Flutter, "DELETE /chats/{chat} [other user]", &["status 404"], FOREIGN),
    row(
        Flutter,
        "DELETE /chats/{chat} []",
        &["status 204"],
        "one way to delete a chat",
    ),
    row(Todo, "POST /api/user123/chat [noauth]", &["status 401"], NEVER_403),
    row(Todo, "POST /api/user123/chat [basic]", &["status 401"], NEVER_403),
    row(
        Todo,
        "POST /api/user123/chat [no auth AND bad body]",
        &["status 401"],
        NEVER_403,
    ),
    row(
        Todo,
        "POST /api/user123/chat [aud claim]",
        &["status 200"],
        "`aud` counts only when configured",
    ),
    row(Todo, "POST /api/user123/chat/ [slash]", &["status 200"], BOTH_SLASHES),
    row(
        Todo,
        "POST /api/user123/chat [uuid id]",
        &["status 404"],
        "either kind of id is accepted, so a UUID is one that is not there",
    ),
    row(
        Todo,
        "POST /api/user123/chat [no exp]",
        &["text $.conversation_id"],
        "the path with a slash was served before, and made a conversation of its own",
    ),
    row(
        Todo,
        "POST /api/user123/chat*",
        &["no $.detail[].url"],
        "a newer validator names no address",
    ),
    row(ChatAi, "POST /auth/register []", &["status 201"], ONE_REGISTRATION),
    row(ChatAi, "POST /auth/register [dup]", &["status 409"], ONE_REGISTRATION),
    row(
        ChatAi,
        "GET /users/me []",
        &[
            "string for int $.id",
            "new $.username",
            "new $.role",
            "new $.system_prompt",
        ],
        ONE_USER,
    ),
    row(
        ChatAi,
        "GET /users/me [non-int sub]",
        &["status 401"],
        "a stranger's token is no mistake of ours",
    ),
    row(ChatAi, "GET /conversations [no slash]", &["status 200"], BOTH_SLASHES),
    row(ChatAi, "POST /chat/ [*", &["text $.answer"], "another model answers"),
    row(ChatAi, "POST /chat [no slash multipart]", &["status 200"], BOTH_SLASHES),
    row(
        ChatAi,
        "POST /chat/ [unknown conv]",
        &["status 404"],
        "a message goes into the caller's own conversations",
    ),
    row(
        ChatAi,
        "POST /chat/ [unknown model]",
        &["status 422"],
        "a model that nobody serves is said to be one",
    ),
    row(
        ChatAi,
        "POST /chat/ [json]",
        &["object for null $.detail[].input", "text $.detail[].loc[]"],
        "the content type decides: JSON is the AI Chat Backend's",
    ),
    row(
        ChatAi,
        "GET /conversations/2/messages []",
        &["new $.messages[].state", "new $.messages[].error"],
        STATE,
    ),
    row(
        ChatAi,
        "GET /conversations/2/messages []",
        &["new $.messages[].attachments"],
        ATTACHMENTS,
    ),
    row(
        ChatAi,
        "GET /chat/messages/2/usage-details []",
        &["new $.message.state", "new $.message.error"],
        STATE,
    ),
    row(
        ChatAi,
        "GET /chat/messages/2/usage-details []",
        &["new $.message.attachments"],
        ATTACHMENTS,
    ),
    row(
        ChatAi,
        "GET /chat/messages/2/usage-details []",
        &["new $.usage_details[].created_at"],
        "the recording is cut before it",
    ),
    row(
        ChatAi,
        "GET /chat/messages/2/usage-details []",
        &["new $.usage_details[].estimated"],
        COUNTED,
    ),
    row(
        ChatAi,
        "GET /chat/messages/2/usage-details []",
        &["text $.usage_details[].scope"],
        ONE_CALL,
    ),
    row(
        ChatAi,
        "GET /chat/messages/1/usage-details [user msg, no auth]",
        &["status 401"],
        OWNER_ONLY,
    ),
    row(
        ChatAi,
        "GET /chat/2/usage-details []",
        &["new $.usage_details[].estimated"],
        COUNTED,
    ),
    row(
        ChatAi,
        "GET /chat/2/usage-details []",
        &["text $.usage_details[].scope"],
        ONE_CALL,
    ),
    row(
        ChatAi,
        "GET /chat/99999/usage-details [unknown]",
        &["status 404"],
        OWNER_ONLY,
    ),
    row(
        ChatAi,
        "GET /conversations/ [list]",
        &["new $[].chat_id", "new $[].updated_at", "new $[].message_count"],
        "one conversation under both of its ids",
    ),
    row(
        ChatAi,
        "GET /conversations/ [list]",
        &["string for null $[].summary"],
        "the first exchange is summed up",
    ),
    row(
        ChatAi,
        "GET /models []",
        &["length $.chat"],
        "the table of prices has more models",
    ),
];

/// What is compared elsewhere or is not served by default.
pub(super) const SKIPPED: &[(&str, &str)] = &[
    ("OPTIONS /chats [preflight]", "no other origin is allowed by default"),
    ("GET /docs []", "a page for people"),
    ("GET /redoc []", "a page for people"),
    ("GET /openapi.json []", "describes another server"),
];
