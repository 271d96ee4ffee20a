// The only module that knows the server's URLs and what its errors look like.

/** What a request failed with. `status` is 0 when the server could not be reached. */
export class ApiError extends Error {
  constructor(status, detail, fields = {}, retryAfterS = null) {
    super(detail);
    this.status = status;
    /** The server's own sentence, or "" when it gave none. */
    this.detail = detail;
    /** For a 422: message by field name. */
    this.fields = fields;
    this.retryAfterS = retryAfterS;
  }
}

/** Rows a page of each list: two screens of them, so that scrolling meets the next page already there. */
const CONVERSATIONS_PAGE = 50;
const MESSAGES_PAGE = 50;

let session = new AbortController();
let whenSignedOut = () => {};

/** `fn` runs when the server says that the session is over. */
export function onSignedOut(fn) {
  whenSignedOut = fn;
}

/** Forgets every request under way. They never settle: whoever waited for them has left the page. */
export function abandonRequests() {
  session.abort();
  session = new AbortController();
}

export const version = () => request("GET", "/api/version");
export const me = () => request("GET", "/users/me");

export const signIn = (email, password) =>
  request("POST", "/auth/session", { email, password }, { isSignIn: true });
export const signUp = (email, password, setupCode) =>
  request("POST", "/auth/register?session=1", { email, password, ...(setupCode && { setup_code: setupCode }) }, { isSignIn: true });
export const signOut = () => request("DELETE", "/auth/session");

export const conversations = (offset) => request("GET", `/chats?limit=${CONVERSATIONS_PAGE}&offset=${offset}`);
export const conversation = (id) => request("GET", chat(id));
export const createConversation = (title) => request("POST", "/chats", { title });
export const updateConversation = (id, change) => request("PATCH", chat(id), change);
export const deleteConversation = (id) => request("DELETE", chat(id));
export const restoreConversation = (id) => request("POST", `${chat(id)}/restore`);

/** The newest messages, or those before the message `before`, oldest first; `earlier` says whether there are more. */
export async function messages(id, before) {
  // One more than a page tells whether an earlier page exists.
  const query = `limit=${MESSAGES_PAGE + 1}${before ? `&before=${before}` : ""}`;
  const found = await request("GET", `${chat(id)}/messages?${query}`);
  return { messages: found.slice(-MESSAGES_PAGE), earlier: found.length > MESSAGES_PAGE };
}

/** Sends a message and waits for the whole reply, which may take minutes. */
export const send = (id, message) => request("POST", "/chat", { message, chat_id: id });

const chat = (id) => `/chats/${encodeURIComponent(id)}`;

async function request(method, path, body, { isSignIn = false } = {}) {
  const { signal } = session;
  let response;
  let payload;
  try {
    response = await fetch(path, {
      method,
      signal,
      headers: { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) },
      body: body && JSON.stringify(body),
    });
    payload = await readJson(response);
  } catch {
    if (signal.aborted) return never();
    throw new ApiError(0, "");
  }
  if (signal.aborted) return never();
  if (response.ok) return payload;
  // A wrong password is a 401 too, but it does not end a session.
  if (response.status === 401 && !isSignIn) {
    whenSignedOut();
    return never();
  }
  throw errorOf(response, payload);
}

const never = () => new Promise(() => {});

async function readJson(response) {
  const text = await response.text();
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    // A proxy in between may answer with a page of its own; the status still says what happened.
    return null;
  }
}

function errorOf(response, payload) {
  const retryAfterS = Number.parseInt(response.headers.get("Retry-After"), 10) || null;
  const detail = payload?.detail;
  if (!Array.isArray(detail)) return new ApiError(response.status, typeof detail === "string" ? detail : "", {}, retryAfterS);
  const fields = Object.fromEntries(detail.map(({ loc, msg }) => [loc?.at(-1), msg]));
  return new ApiError(response.status, detail[0]?.msg ?? "", fields, retryAfterS);
}
