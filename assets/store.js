// Holds what the signed-in page shows and tells those who watch. It knows neither the server nor the page.
//
// State is never changed in place: every change makes new objects along the path, so that a watcher can
// compare by identity.

/** The key, in place of an id, of the conversation that is written but not yet created. */
export const NEW = "new";

const fresh = () => ({
  user: null,
  /** What the user has set for themselves, as the server keeps it. */
  settings: {},
  /** `{ page: "new" }`, `{ page: "conversation", id }`, or `{ page: "settings", section }` and the like. */
  route: { page: "new" },
  /** The tag whose conversations are listed; "" for all. */
  tag: "",
  /** `status`: loading, more (a further page is on its way), ready or failed. */
  list: {
    status: "loading",
    chats: [],
    total: 0,
    /** Ids of conversations that are listed because they were opened, before their page was reached. */
    strays: [],
  },
  /** Every tag in use: `[{ name, conversation_count }]`. */
  tags: [],
  /** By conversation id or NEW, see `emptyThread`. */
  threads: {},
  /** The day it is here, as text: what "today" means in the list. */
  today: "",
  /** Text in the composer, by conversation id or NEW. */
  drafts: {},
  /** Files in the composer, by conversation id or NEW: `[{ key, name, size, type, preview, progress, url, problem }]`. */
  files: {},
  /** What the server says of models: `{ chat: [name], … }`; null until it has. */
  models: null,
  /** `{ id, where }` while a conversation is renamed, `where` being "list" or "topbar". */
  renaming: null,
  /** The key of the message that is being edited. */
  editing: null,
  /** What its field begins with, where that is not the message's own text. */
  edited: "",
  /** The id of a message that was searched for and is to be shown; null once it has been. */
  sought: null,
  sidebarOpen: true,
  /** Whether the last request reached the server. */
  online: true,
});

/** The messages of one conversation and what goes on in it. */
export const emptyThread = {
  /** loading, ready, failed or missing. */
  status: "loading",
  /**
   * As the server sends them, each with a `key` that stays when a message sent here gets its `id`. `siblings` are the ids of
   * all messages that stand in one's place on some branch, itself included.
   */
  messages: [],
  /** Whether the server has messages before these. */
  earlier: false,
  /** How a reply is awaited: "asked" until it has begun, "live" while it is written; else "". */
  waiting: "",
  /** The reply that is being written: `{ key, text, reasoning, blocks, tools }`; null when there is none. */
  live: null,
  /** What is chosen for a conversation before it exists: model, library and so on. */
  choices: {},
  /** Whether a reply came while another conversation was open. */
  fresh: false,
  /** Why the last message got no reply: a sentence, or "". */
  problem: "",
  /** Why the message in the composer was not sent: a sentence, or "". */
  unsent: "",
  /** Whether what is in the composer is to be sent as soon as that can be. */
  queued: false,
};

let state = fresh();
let watchers = new Set();
let announced = true;

export const current = () => state;

/** The id of the conversation on the screen, or NEW. */
export const openId = (s = state) => (s.route.page === "conversation" ? s.route.id : NEW);
export const threadOf = (id, s = state) => s.threads[id] ?? emptyThread;
export const openThread = (s = state) => threadOf(openId(s), s);
export const chatOf = (id, s = state) => s.list.chats.find((chat) => chat.id === id);
/** Whether the screen shows a conversation, new or not, rather than a page such as the settings. */
export const isChat = (s = state) => s.route.page === "new" || s.route.page === "conversation";

/** What is set for a conversation, existing or not: `model`, `library`, `system_prompt` … */
export const choiceOf = (id, name, s = state) => (id === NEW ? threadOf(NEW, s).choices[name] : chatOf(id, s)?.[name]);

/** The models that can be asked: the server also lists those that it only knows a price of. */
export const usableModels = ({ models } = state) => models?.available ?? models?.chat ?? [];
/** The model that answers where nothing is chosen. */
export const standardModel = (s = state) =>
  s.settings.default_model ?? s.models?.default ?? usableModels(s)[0] ?? (s.models ? "echo" : "");

export function update(change) {
  state = { ...state, ...change };
  if (!announced) return;
  // Changes made in one go are announced once.
  announced = false;
  queueMicrotask(() => {
    announced = true;
    for (const watcher of watchers) watcher();
  });
}

/** Runs `fn` now and whenever one of the values that `select` lists is another than before. */
export function watch(select, fn, signal) {
  let seen = select(state);
  const watcher = () => {
    const next = select(state);
    if (next.every((value, i) => Object.is(value, seen[i]))) return;
    seen = next;
    fn(state);
  };
  watchers.add(watcher);
  signal?.addEventListener("abort", () => watchers.delete(watcher));
  fn(state);
}

/** Forgets everything and everyone who watches. */
export function reset() {
  state = fresh();
  watchers = new Set();
}

export const updateList = (change) => update({ list: { ...state.list, ...change } });

/** Changes the thread `id`, which is made if it is not there; `change` may be a function of the thread. */
export function updateThread(id, change) {
  const thread = threadOf(id);
  const changed = typeof change === "function" ? change(thread) : change;
  update({ threads: { ...state.threads, [id]: { ...thread, ...changed } } });
}

/** The conversation begun under NEW has become `id`. */
export function moveNewThread(id) {
  const { [NEW]: thread, ...others } = state.threads;
  update({ threads: { ...others, [id]: { ...thread, choices: {} } } });
}

/** Puts `chat` into the list, in its order, in place of what was known of it. */
export function putChat(chat) {
  const known = chatOf(chat.id) !== undefined;
  const others = state.list.chats.filter(({ id }) => id !== chat.id);
  updateList({ chats: inOrder([chat, ...others]), total: state.list.total + (known ? 0 : 1) });
}

/** The server's order: what is pinned, then the latest change first. Its times are all UTC, and sort as text. */
export const inOrder = (chats) =>
  chats.toSorted(
    (a, b) => b.is_pinned - a.is_pinned || (a.updated_at < b.updated_at) - (a.updated_at > b.updated_at),
  );

export function dropChat(id) {
  if (chatOf(id) === undefined) return;
  updateList({ chats: state.list.chats.filter((chat) => chat.id !== id), total: state.list.total - 1 });
}
