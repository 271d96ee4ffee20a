// The page for people who are not signed in: one form that signs in or, where the server allows it, signs up.

import * as api from "./api.js";
import { el, icon, iconButton } from "./dom.js";
import { words } from "./lang/en.js";

/**
 * `signup` is the server's word on new accounts: "first", "open", "closed" or "setup".
 * `onSubmit` runs when a form is sent, `onSignedIn` when the server has set the session.
 */
export function signInPage({ signup, setupCode, notice, onSubmit, onSignedIn }) {
  const page = el("main", { class: "sign-in" });
  const show = (form, email = "") => {
    const next = form === "sign-up" ? signUpForm : signInForm;
    page.replaceChildren(next({ signup, setupCode, notice, email, onSubmit, onSignedIn, show }));
    page.querySelector("[autofocus]").focus();
  };
  // Where no account exists yet, there is nothing to sign in to.
  show(signup === "first" || signup === "setup" ? "sign-up" : "sign-in");
  return page;
}

function signInForm({ signup, setupCode, notice, email, onSubmit, onSignedIn, show }) {
  const w = words.signIn;
  // Whoever comes with a code that nobody asks for any more should know why they are not asked for an account.
  const lead = setupCode ? w.setupUsed : notice;
  const fields = { email: emailField(email), password: passwordField("current-password") };
  return form({
    heading: w.heading,
    lead,
    fields,
    submit: w.submit,
    after:
      signup === "closed"
        ? el("p", { class: "aside" }, w.closed)
        : el(
            "p",
            { class: "aside" },
            w.newHere,
            " ",
            link(w.toSignUp, () => show("sign-up", fields.email.input.value)),
          ),
    async send() {
      onSubmit();
      await api.signIn(fields.email.input.value.trim(), fields.password.input.value);
      onSignedIn();
    },
    explain: (error) => (error.status === 401 ? w.wrong : null),
  });
}

function signUpForm({ signup, setupCode, email, onSubmit, onSignedIn, show }) {
  const w = words.signUp;
  const fields = { email: emailField(email), password: passwordField("new-password") };
  if (signup === "setup") {
    fields.setup_code = field("setup_code", words.field.setupCode, words.field.setupCodeMissing, {
      autocomplete: "off",
      spellcheck: "false",
      value: setupCode,
    });
    // The address brought it along: it is shown only if it turns out not to work.
    fields.setup_code.node.hidden = setupCode !== "";
  }
  return form({
    heading: signup === "open" ? w.heading : w.headingFirst,
    lead: { first: w.first, setup: setupCode ? w.setupReady : w.setup }[signup],
    fields,
    submit: w.submit,
    after:
      signup === "first"
        ? null
        : el(
            "p",
            { class: "aside" },
            w.haveOne,
            " ",
            link(w.toSignIn, () => show("sign-in", fields.email.input.value)),
          ),
    async send() {
      onSubmit();
      await api.signUp(
        fields.email.input.value.trim(),
        fields.password.input.value,
        fields.setup_code?.input.value.trim(),
      );
      onSignedIn();
    },
    explain(error) {
      if (error.status === 409) return w.taken;
      if (error.status === 403 && signup === "setup") {
        fields.setup_code.node.hidden = false;
        return w.refusedSetup;
      }
      if (error.status === 403) return w.refused;
      return null;
    },
  });
}

/** A form with its mark, heading and message; `send` rejects with an ApiError, which `explain` may put in words. */
function form({ heading, lead, fields, submit, after, send, explain }) {
  const problem = el("p", { class: "problem", role: "alert" });
  const button = el("button", { class: "button", type: "submit" }, submit);
  const onsubmit = async (event) => {
    event.preventDefault();
    problem.textContent = "";
    const wrong = Object.values(fields).filter((one) => !one.check());
    if (wrong.length > 0) return wrong[0].input.focus();
    button.disabled = true;
    try {
      await send();
    } catch (error) {
      const named = Object.entries(error.fields).filter(([name]) => fields[name]);
      for (const [name, message] of named) fields[name].complain(name === "email" ? words.field.emailWrong : message);
      if (named.length === 0) problem.textContent = explain(error) ?? explainAny(error);
      button.disabled = false;
      (fields[named[0]?.[0]] ?? fields.password).input.focus();
    }
  };
  const mark = icon("mark");
  mark.classList.add("mark");
  return el(
    "form",
    { novalidate: true, onsubmit },
    mark,
    el("h1", null, heading),
    lead ? el("p", { class: "lead" }, lead) : null,
    Object.values(fields).map(({ node }) => node),
    problem,
    button,
    after,
  );
}

function explainAny(error) {
  if (error.status === 0) return words.unreachable;
  if (error.status === 429)
    return error.retryAfterS ? words.signIn.tooMany(error.retryAfterS) : words.signIn.tooManySoon;
  return error.detail || words.unexpected(error.status);
}

/** A labelled input whose complaint stands under it. */
function field(name, label, missing, props) {
  const complaint = el("p", { class: "problem", id: `${name}-problem` });
  const input = el("input", { id: name, name, required: true, "aria-describedby": complaint.id, ...props });
  const complain = (message) => {
    complaint.textContent = message;
    input.setAttribute("aria-invalid", String(message !== ""));
  };
  input.addEventListener("input", () => complain(""));
  const check = () => {
    complain(input.validity.valueMissing ? missing : input.validity.valid ? "" : words.field.emailWrong);
    return input.validity.valid;
  };
  const node = el("div", { class: "field" }, el("label", { for: name }, label), input, complaint);
  return { node, input, check, complain };
}

function emailField(value) {
  return field("email", words.field.email, words.field.emailMissing, {
    type: "email",
    autocomplete: "username",
    inputmode: "email",
    autofocus: true,
    value,
  });
}

function passwordField(autocomplete) {
  const made = field("password", words.field.password, words.field.passwordMissing, { type: "password", autocomplete });
  const toggle = iconButton("show", words.field.showPassword, {
    onclick() {
      const shown = made.input.type === "text";
      made.input.type = shown ? "password" : "text";
      const label = shown ? words.field.showPassword : words.field.hidePassword;
      toggle.setAttribute("aria-label", label);
      toggle.title = label;
      toggle.replaceChildren(icon(shown ? "show" : "hide"));
    },
  });
  made.input.after(toggle);
  return made;
}

const link = (label, onclick) => el("button", { type: "button", class: "link", onclick }, label);
