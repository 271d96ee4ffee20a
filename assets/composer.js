// Where a message is written and what it is sent with: files, a model, the library. It knows drafts and sending, and
// nothing of how messages look.

import { choose } from "./conversations.js";
import { el, grow, icon, iconButton, keepFocus, memo, place, takeDrops } from "./dom.js";
import { draftOf, filesOf, write } from "./drafts.js";
import { shortModel, words } from "./lang/en.js";
import { composes, sends } from "./shortcuts.js";
import { NEW, choiceOf, isChat, openId, openThread, standardModel, updateThread, watch } from "./store.js";
import { send, startEdit, stop } from "./turns.js";

const w = words.composer;
/** Fetched when the first file comes: most messages have none. */
const attachments = () => import("./attachments.js");

export function composer(signal) {
  const input = messageField();
  const unsent = el("p", { class: "problem", id: "composer-problem", role: "alert" });
  const files = el("ul", { class: "files pending", role: "list", "aria-label": words.files.label });
  const tools = el("div", { class: "composer-tools" });
  const form = el("form", { class: "composer" }, files, input, tools);
  const submit = (event) => {
    event?.preventDefault();
    const problem = filesOf(openId()).some((file) => file.problem) ? w.fileFailed : "";
    if (hasMessage(openId())) updateThread(openId(), { queued: problem === "", unsent: problem });
  };
  form.addEventListener("submit", submit);
  // The whole box is the field, also where it has no text yet.
  form.addEventListener("pointerup", ({ target }) => (target === form || target === tools) && input.focus());
  input.addEventListener("keydown", (event) => keydown(event, input, submit));
  input.addEventListener("input", () => {
    if (openThread().unsent !== "") updateThread(openId(), { unsent: "" });
    write(openId(), input.value);
  });
  takeFiles(input, signal);
  watch((state) => [state.threads, state.files], sendQueued);

  const queued = el("p", { class: "queued", role: "status" });
  const dock = el("div", { class: "dock" }, unsent, queued, form, el("p", { class: "keys", "aria-hidden": "true" }, w.keys));
  new ResizeObserver(() => {
    // Another width breaks the lines elsewhere.
    grow(input);
    // Toasts stand above the composer, however many lines it has.
    document.documentElement.style.setProperty("--dock", `${dock.offsetHeight}px`);
  }).observe(dock);

  showState({ dock, input, unsent, queued, tools, drawFiles: pendingFiles(files), drawTools: toolsOf() });
  return dock;
}

function messageField() {
  return el("textarea", {
    id: "message",
    rows: "1",
    "aria-label": w.label,
    placeholder: w.placeholder,
    dir: "auto",
    "aria-describedby": "composer-problem",
  });
}

/** Whether there is anything to send: a file without a word is a message too. */
const hasMessage = (id, state) => draftOf(id, state).trim() !== "" || filesOf(id, state).length > 0;

/** Sends each message that waits for a reply to end, or for its files, once it need not wait any more. */
function sendQueued({ threads }) {
  for (const [id, { queued, waiting }] of Object.entries(threads)) {
    if (!queued || waiting !== "") continue;
    const files = filesOf(id);
    const hasFailed = files.some((file) => file.problem);
    if (hasFailed || !hasMessage(id)) updateThread(id, { queued: false, unsent: hasFailed ? w.fileFailed : "" });
    else if (files.every(({ url }) => url)) {
      updateThread(id, { queued: false });
      send(id, draftOf(id).trim() || w.onlyFiles, files);
    }
  }
}

/** Shows what is written and chosen. While a reply comes the thread changes with every frame, and this does not. */
function showState({ dock, input, unsent, queued, tools, drawFiles, drawTools }) {
  watch(
    (state) => [openId(state), draftOf(openId(state), state)],
    (state) => {
      const draft = draftOf(openId(state), state);
      if (input.value !== draft) input.value = draft;
      grow(input);
    },
  );
  watch(
    (state) => [openThread(state).status, openThread(state).unsent, isChat(state)],
    (state) => {
      dock.hidden = openThread(state).status === "missing" || !isChat(state);
      unsent.textContent = openThread(state).unsent;
    },
  );
  watch(
    (state) => [openThread(state).queued, openThread(state).waiting !== ""],
    (state) => {
      const { queued: isQueued, waiting } = openThread(state);
      const label = el("span", null, waiting ? w.queued : w.uploading);
      const cancel = el("button", { type: "button", class: "link", onclick: unqueue }, words.cancel);
      queued.replaceChildren(...(isQueued ? [label, " ", cancel] : []));
    },
  );
  watch(
    (state) => [filesOf(openId(state), state)],
    (state) => keepFocus(dock, () => drawFiles(filesOf(openId(state), state)), () => input),
  );
  const shown = (state) => {
    const id = openId(state);
    return {
      id,
      waiting: openThread(state).waiting,
      queued: openThread(state).queued,
      isReady: hasMessage(id, state),
      model: choiceOf(id, "model", state) ?? standardModel(state),
      library: Boolean(choiceOf(id, "library", state)),
    };
  };
  watch(
    (state) => Object.values(shown(state)),
    (state) => keepFocus(tools, () => place(tools, drawTools(shown(state))), () => input),
  );
}

function keydown(event, input, submit) {
  if (composes(event)) return;
  if (event.key === "ArrowUp" && input.value === "" && openThread().waiting === "") {
    const last = openThread().messages.findLast(({ role, id }) => role === "user" && id !== null);
    if (!last) return;
    event.preventDefault();
    startEdit(last.key);
  }
  if (sends(event)) submit(event);
}

/** The row below the text: what the message is sent with, and the one button that sends it or stops the reply. */
function toolsOf() {
  const picker = el("input", { type: "file", multiple: true, hidden: true });
  picker.addEventListener("change", async () => {
    (await attachments()).attach(openId(), [...picker.files]);
    picker.value = "";
  });
  const attach = iconButton("attach", w.attach, { onclick: () => picker.click() });
  const isOn = () => library.getAttribute("aria-pressed") === "true";
  const library = el(
    "button",
    { type: "button", class: "chip", onclick: () => choose(openId(), { library: !isOn() }) },
    icon("library"),
    el("span", null, w.library),
  );
  const modelButton = memo((id, name) => {
    const pick = async () => {
      const { pickModel } = await import("./model-picker.js");
      const picked = await pickModel(name);
      if (picked) choose(id, { model: picked });
    };
    return el(
      "button",
      {
        type: "button",
        class: "chip model",
        "aria-haspopup": "dialog",
        title: name ? w.model(name) : w.pickModel,
        onclick: pick,
      },
      el("span", null, name ? shortModel(name) : w.pickModel),
      icon("down-small"),
    );
  });
  const sendButton = iconButton("send", w.send, { type: "submit", class: "icon-button send" });
  const stopButton = iconButton("stop", w.stop, { class: "icon-button send stop", onclick: () => stop(openId()) });
  const spacer = el("span", { class: "spacer" });
  return ({ id, waiting, queued, isReady, model: name, library: hasLibrary }) => {
    sendButton.disabled = !isReady || queued;
    const label = waiting === "" ? w.send : w.queue;
    sendButton.setAttribute("aria-label", label);
    sendButton.title = label;
    library.setAttribute("aria-pressed", String(hasLibrary));
    library.title = hasLibrary ? w.libraryOn : w.libraryOff;
    const isStopping = waiting !== "" && id !== NEW;
    return [
      attach,
      picker,
      library,
      spacer,
      modelButton(id, name),
      isStopping ? stopButton : null,
      !isStopping || (isReady && !queued) ? sendButton : null,
    ].filter(Boolean);
  };
}

const unqueue = () => {
  updateThread(openId(), { queued: false });
  document.querySelector("#message").focus();
};

/** The files that will go with the message, each with how far it has come. */
function pendingFiles(list) {
  const nodes = new Map();
  return (files) => {
    list.hidden = files.length === 0;
    for (const key of [...nodes.keys()]) if (files.every((file) => file.key !== key)) nodes.delete(key);
    place(
      list,
      files.map((file) => {
        const known = nodes.get(file.key) ?? pendingFile(file);
        nodes.set(file.key, known);
        known.update(file);
        return known.node;
      }),
    );
  };
}

function pendingFile({ key, name, preview }) {
  const bar = el("progress", { max: "1", value: "0", "aria-label": words.files.progress(name) });
  const note = el("span", { class: "file-size" });
  const remove = iconButton("close", words.files.remove(name), {
    class: "icon-button small",
    onclick: async () => (await attachments()).detach(openId(), key),
  });
  const node = el(
    "li",
    { class: "file" },
    preview ? el("img", { src: preview, alt: "" }) : icon("file"),
    el("span", { class: "file-name" }, name),
    note,
    bar,
    remove,
  );
  const update = ({ progress, url, problem }) => {
    bar.value = progress;
    bar.hidden = Boolean(url || problem);
    note.textContent = problem ?? "";
    node.toggleAttribute("data-failed", Boolean(problem));
  };
  return { node, update };
}

/** Files that are pasted into the field or dropped anywhere on the page. */
function takeFiles(input, signal) {
  const take = async (id, files) => (await attachments()).attach(id, files);
  input.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files];
    if (files.length === 0) return;
    event.preventDefault();
    take(openId(), files);
  });
  takeDrops(signal, {
    isWanted: isChat,
    over: (on) => document.documentElement.toggleAttribute("data-dropping", on),
    take: (files) => {
      take(openId(), files);
      input.focus();
    },
  });
}
