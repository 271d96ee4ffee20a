// The only module that knows the server's URLs, its streams, and what its errors look like.

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

/** The path that the server is reached at, without a slash at its end: "" unless it stands below another site. */
export const ROOT = new URL(import.meta.url).pathname.replace(/\/assets\/[^/]+\/api\.js$/, "");

/** Rows a page of each list: two screens of them, so that scrolling meets the next page already there. */
const CONVERSATIONS_FIRST = 50;
/** The most that the server gives: whoever goes on is going far. */
const CONVERSATIONS_FURTHER = 100;
const MESSAGES_PAGE = 50;
const DOCUMENTS_PAGE = 50;
const USERS_PAGE = 100;
const AUDIT_PAGE = 50;

let session = new AbortController();
let whenSignedOut = () => {};
let whenReached = () => {};

/** `fn` runs when the server says that the session is over. */
export function onSignedOut(fn) {
  whenSignedOut = fn;
}

/** `fn` runs with true or false whenever a request has reached the server or not. */
export function onReached(fn) {
  whenReached = fn;
}

/** Forgets every request under way. They never settle: whoever waited for them has left the page. */
export function abandonRequests() {
  session.abort();
  session = new AbortController();
}

const get = (path) => request("GET", path);
const post = (path, body = {}) => request("POST", path, body);
const put = (path, body) => request("PUT", path, body);
const patch = (path, body) => request("PATCH", path, body);
const remove = (path) => request("DELETE", path);
const part = encodeURIComponent;
const chat = (id) => `/chats/${part(id)}`;
const conversationOf = (id) => `/conversations/${part(id)}`;

/** The parameters that are set, as a query. */
function query(params) {
  const set = Object.entries(params).filter(([, value]) => value != null && value !== "" && value !== false);
  return set.length === 0 ? "" : `?${new URLSearchParams(set)}`;
}

/* Accounts */

export const version = () => get("/api/version");
export const me = () => get("/users/me");
/** What the page begins with: `{ user, settings, tags, models, chats }`. */
export const start = () => get("/api/start");
export const signIn = (email, password) => request("POST", "/auth/session", { email, password }, { isSignIn: true });
export const signUp = (email, password, setupCode) =>
  request(
    "POST",
    "/auth/register?session=1",
    { email, password, ...(setupCode && { setup_code: setupCode }) },
    { isSignIn: true },
  );
export const signOut = () => remove("/auth/session");
/** A wrong current password is refused with 401 too, which ends no session. */
export const updateMe = (change) => request("PATCH", "/users/me", change, { isSignIn: "current_password" in change });
export const settings = () => get("/settings");
export const putSettings = (values) => put("/settings", values);
export const sessions = () => get("/sessions");
export const endSession = (id) => remove(`/sessions/${part(id)}`);
export const apiKeys = () => get("/api-keys");
export const createApiKey = (key) => post("/api-keys", key);
export const deleteApiKey = (id) => remove(`/api-keys/${part(id)}`);

/* Conversations */

export const conversations = (offset, tag) =>
  get(
    `/chats${query({
      limit: offset === 0 ? CONVERSATIONS_FIRST : CONVERSATIONS_FURTHER,
      offset: String(offset),
      pinned_first: true,
      tag,
    })}`,
  );
export const conversation = (id) => get(chat(id));
export const createConversation = (title) => post("/chats", { title });
export const updateConversation = (id, change) => patch(chat(id), change);
export const deleteConversation = (id) => remove(chat(id));
export const restoreConversation = (id) => post(`${chat(id)}/restore`);
export const tags = () => get("/tags");
export const renameTag = (name, to) => put(`/tags/${part(name)}`, { name: to });
export const deleteTag = (name) => remove(`/tags/${part(name)}`);
export const search = (text, limit, offset = 0) => get(`/search${query({ q: text, limit, offset })}`);

/** The newest messages, or those before the message `before`, oldest first; `earlier` says whether there are more. */
export async function messages(id, before) {
  // One more than a page tells whether an earlier page exists.
  const found = await get(
    `${conversationOf(id)}/messages${query({ html: "1", tree: "true", limit: MESSAGES_PAGE + 1, before })}`,
  );
  return { messages: found.messages.slice(-MESSAGES_PAGE), earlier: found.messages.length > MESSAGES_PAGE };
}

/* Replies: each of these is answered with the events of the reply, see `events`. */

const STREAMED = "?stream=true&html=1";
export const send = (id, message) => events("POST", `${chat(id)}/messages/${STREAMED}`, message);
export const regenerate = (messageId, model) =>
  events("POST", `/messages/${part(messageId)}/regenerate${STREAMED}`, { ...(model && { model }) });
export const resume = (messageId) => events("POST", `/messages/${part(messageId)}/continue${STREAMED}`, {});
export const edit = (messageId, content) => events("PATCH", `/messages/${part(messageId)}${STREAMED}`, { content });
/** The reply in progress, from `after`, the id of the last event that was seen. */
export const attach = (id, after) => events("GET", `${conversationOf(id)}/events?html=1`, undefined, after);
export const stop = (id) => post(`${conversationOf(id)}/stop`);
export const deleteMessage = (messageId) => remove(`/messages/${part(messageId)}`);
export const restoreMessage = (messageId) => post(`/messages/${part(messageId)}/restore`);
export const setLeaf = (id, messageId) => put(`${conversationOf(id)}/leaf`, { message_id: messageId });

/* Models, files, documents */

export const models = () => get("/models");
/** Where the file is that an upload gave the address `path`. */
export const mediaUrl = (path) => ROOT + path;
export const attachmentUrl = (id) => `${ROOT}/attachments/${part(id)}`;
export const documents = (offset) => get(`/documents${query({ limit: DOCUMENTS_PAGE, offset: String(offset) })}`);
export const readPassages = (id) => get(`/documents/${part(id)}/passages`);
export const addDocument = (title, content) => post("/documents", { title, content });
export const deleteDocument = (id) => remove(`/documents/${part(id)}`);
export const upload = (file, onProgress, signal) => sendFiles("/upload/", "file", [file], onProgress, signal);
export const uploadDocuments = (files, onProgress) => sendFiles("/documents", "file", files, onProgress);
export const importFile = (file, onProgress) => sendFiles("/import", "file", [file], onProgress);
export const EXPORT_URL = `${ROOT}/export`;
export const usage = (from, to, group) => get(`/usage${query({ from, to, group })}`);

export const ownLimits = () => get("/limits");

/* Administration */

export const health = () => get("/health?verbose=1");
export const users = (offset) => get(`/admin/users${query({ limit: USERS_PAGE, offset: String(offset) })}`);
export const updateUser = (id, change) => patch(`/admin/users/${part(id)}`, change);
export const deleteUser = (id) => remove(`/admin/users/${part(id)}`);
export const createUser = (user) => post("/admin/users", user);
export const signup = () => get("/admin/signup");
export const putSignup = (values) => put("/admin/signup", values);
export const limits = () => get("/admin/limits");
export const putLimits = (values) => put("/admin/limits", values);
export const providers = () => get("/admin/providers");
export const addProvider = (provider) => post("/admin/providers", provider);
export const updateProvider = (id, change) => patch(`/admin/providers/${part(id)}`, change);
export const testProvider = (id) => post(`/admin/providers/${part(id)}/test`);
export const deleteProvider = (id) => remove(`/admin/providers/${part(id)}`);
export const adminModels = () => get("/admin/models");
export const setDefaultModel = (name) => put("/admin/models", { default_model: name });
export const setAlias = (name, models) => put(`/admin/models/${part(name)}`, { models });
export const deleteAlias = (name) => remove(`/admin/models/${part(name)}`);
/** Entries of the log, those that are older than the one with the id `before` if there is one. */
export const audit = (act, before) =>
  get(`/admin/audit${query({ limit: AUDIT_PAGE, ...(before && { before: String(before) }), ...(act && { act }) })}`);
export const BACKUP_URL = `${ROOT}/admin/backup`;

/* How it is done */

async function request(method, path, body, { isSignIn = false } = {}) {
  const { signal } = session;
  let response;
  let payload;
  try {
    response = await ask(method, path, body, { Accept: "application/json" }, signal);
    payload = await readJson(response);
  } catch {
    if (signal.aborted) return never();
    whenReached(false);
    throw new ApiError(0, "");
  }
  if (signal.aborted) return never();
  return settle(response, payload, isSignIn);
}

const ask = (method, path, body, headers, signal) =>
  fetch(ROOT + path, {
    method,
    signal,
    // What is deleted as the page is left is deleted all the same.
    keepalive: method === "DELETE",
    headers: { ...headers, ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
  });

/** What a finished request came to: its payload, or its error. */
function settle(response, payload, isSignIn) {
  whenReached(true);
  if (response.ok) return payload;
  // A wrong password is a 401 too, but it does not end a session.
  if (response.status === 401 && !isSignIn) {
    whenSignedOut();
    return never();
  }
  throw errorOf(response.status, response.headers.get("Retry-After"), payload);
}

/**
 * Asks for a reply and gives its events, `{ type, id, data }`, as they come. Before the first one it throws what a request
 * throws; later, when the connection breaks, an ApiError with status 0. A server that answers without a stream gives none.
 */
async function events(method, path, body, after) {
  const { signal } = session;
  const headers = { Accept: "text/event-stream", ...(after && { "Last-Event-ID": after }) };
  let response;
  try {
    response = await ask(method, path, body, headers, signal);
  } catch {
    if (signal.aborted) return never();
    whenReached(false);
    throw new ApiError(0, "");
  }
  if (!response.ok) return settle(response, await readJson(response).catch(() => null), false);
  whenReached(true);
  const isStream = response.headers.get("Content-Type")?.startsWith("text/event-stream");
  if (isStream) return readEvents(response.body, signal);
  // Answered all the same: there is nothing to follow, and the whole reply is stored once the body has ended.
  await readJson(response).catch(() => null);
  return readEvents(null, signal);
}

async function* readEvents(body, signal) {
  if (!body) return;
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let buffer = "";
  for (;;) {
    let chunk;
    try {
      chunk = await reader.read();
    } catch {
      if (signal.aborted) return await never();
      throw new ApiError(0, "");
    }
    if (chunk.done) return;
    buffer += chunk.value.replaceAll("\r\n", "\n");
    for (let end = buffer.indexOf("\n\n"); end >= 0; end = buffer.indexOf("\n\n")) {
      const event = readEvent(buffer.slice(0, end));
      buffer = buffer.slice(end + 2);
      if (event) yield event;
    }
  }
}

function readEvent(text) {
  const event = { type: "message", id: null, data: "" };
  for (const line of text.split("\n")) {
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, "")];
    if (name === "event") event.type = value;
    else if (name === "id") event.id = value;
    else if (name === "data") event.data += value;
  }
  if (event.data === "") return null;
  return { ...event, data: JSON.parse(event.data) };
}

/** Sends files as a form. Only the older interface tells how far an upload has come. */
function sendFiles(path, name, files, onProgress = () => {}, signal) {
  const form = new FormData();
  for (const file of files) form.append(name, file, file.name);
  const { promise, resolve, reject } = Promise.withResolvers();
  const xhr = new XMLHttpRequest();
  xhr.open("POST", ROOT + path);
  xhr.upload.onprogress = ({ loaded, total }) => onProgress(total === 0 ? 0 : loaded / total);
  xhr.onerror = () => reject(new ApiError(0, ""));
  xhr.onload = () => {
    const payload = parse(xhr.responseText);
    if (xhr.status >= 200 && xhr.status < 300) return resolve(payload);
    if (xhr.status === 401) return whenSignedOut();
    reject(errorOf(xhr.status, xhr.getResponseHeader("Retry-After"), payload));
  };
  for (const stopper of [session.signal, signal]) stopper?.addEventListener("abort", () => xhr.abort());
  xhr.send(form);
  return promise;
}

const never = () => new Promise(() => {});
const readJson = async (response) => parse(await response.text());

function parse(text) {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    // A proxy in between may answer with a page of its own; the status still says what happened.
    return null;
  }
}

function errorOf(status, retryAfter, payload) {
  const retryAfterS = Number.parseInt(retryAfter, 10) || null;
  const detail = payload?.detail;
  if (!Array.isArray(detail)) return new ApiError(status, typeof detail === "string" ? detail : "", {}, retryAfterS);
  const fields = Object.fromEntries(detail.map(({ loc, msg }) => [loc?.at(-1), msg]));
  return new ApiError(status, detail[0]?.msg ?? "", fields, retryAfterS);
}
