// The settings: their sections, each in a module of its own.

import { words } from "./lang/en.js";
import { sectioned } from "./pages.js";
import { account } from "./settings-account.js";
import { data } from "./settings-data.js";
import { keys } from "./settings-keys.js";
import { appearance } from "./settings-look.js";
import { replies } from "./settings-replies.js";
import { sessions } from "./settings-sessions.js";
import { settleAll } from "./undoable.js";

const { heading, sections: names } = words.settings;

export function mount(host, signal) {
  signal.addEventListener("abort", settleAll);
  const makers = { "": appearance, replies, account, sessions, keys, data };
  return sectioned(host, "settings", { makers, names, heading });
}
