// Where one is signed in, and ending it there.

import * as api from "./api.js";
import { el } from "./dom.js";
import { rowText } from "./fields.js";
import { date, time, words } from "./lang/en.js";
import { toast } from "./overlay.js";
import { loading, part } from "./pages.js";

const w = words.settings;

export function sessions() {
  const list = el("div", { class: "list-box" });
  const draw = (rows) =>
    el(
      "ul",
      { class: "rows", role: "list" },
      rows.map((session) => sessionRow(session, again)),
    );
  const again = loading(list, api.sessions, draw, w.failed);
  return part(w.sections.sessions, w.sessionsLead, list);
}

function sessionRow({ id, user_agent: agent, created_at: created, expires_at: expires, is_current: isCurrent }, again) {
  const end = async () => {
    try {
      await api.endSession(id);
      toast({ text: w.ended });
    } catch (error) {
      toast({ text: words.notSaved(error.detail) });
    }
    again();
  };
  const about = [isCurrent ? w.thisSession : null, w.since(time(created)), w.until(date(expires))]
    .filter(Boolean)
    .join(" · ");
  return el(
    "li",
    null,
    rowText(deviceOf(agent), about, agent),
    isCurrent
      ? null
      : el(
          "button",
          { type: "button", class: "button quiet", "aria-label": `${w.end}: ${deviceOf(agent)}`, onclick: end },
          w.end,
        ),
  );
}

/** "Firefox, Linux" out of the long line that browsers send. */
function deviceOf(agent) {
  if (!agent) return w.unknownDevice;
  const browser = [["Edg", "Edge"], ["OPR", "Opera"], ["Firefox"], ["Chrome"], ["Safari"], ["curl"]].find(([mark]) =>
    agent.includes(mark),
  );
  const system = [["Android"], ["iPhone"], ["iPad"], ["Windows"], ["Mac OS", "macOS"], ["Linux"]].find(([mark]) =>
    agent.includes(mark),
  );
  return [browser?.at(-1), system?.at(-1)].filter(Boolean).join(", ") || agent.slice(0, 60);
}
