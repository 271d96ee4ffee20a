//! What the commands are told to do, once their words are read.

use std::path::PathBuf;

use super::transfers::{Export, Import, Restore};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Ask a model.
    Ask(Ask),
    /// Accounts.
    User(UserTask),
    /// API keys of an account.
    Key {
        /// Whose; `None`: the first administrator's, or the only account's.
        account: Option<String>,
        /// What about them.
        task: KeyTask,
    },
    /// Bring in what other programs and servers export.
    Import(Import),
    /// Write what an account has.
    Export(Export),
    /// Copy the database into this file; `None`: one that is named by the time.
    Backup(Option<PathBuf>),
    /// Put a backup in the place of the database.
    Restore(Restore),
    /// Whether a server works: the one that runs here, or the one at this address.
    Health(Option<String>),
    /// What this program is.
    Version(Form),
    /// What is linked into it, and under which licences.
    Licenses,
    /// What could keep the server from working, and whether people reach it by this address.
    Doctor {
        /// The address that people open; `None`: as for `serve`.
        public_url: Option<String>,
        /// How it is said.
        form: Form,
    },
    /// The server as a service of systemd's.
    Service(ServiceTask),
    /// A script that completes this program's words in a shell.
    Completions(String),
}

/// How something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Which server is asked, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Door {
    /// Another server than the data folder's.
    pub url: Option<String>,
    /// Holds the API key for that; without it, the variable does.
    pub key_file: Option<PathBuf>,
    /// Whom to sign in as on the data folder's; `None`: the first administrator, or the only account.
    pub account: Option<String>,
}

/// A question to a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Whom.
    pub door: Door,
    /// What; may be empty when there is something on stdin.
    pub question: String,
    /// The conversation that it goes on with: an id, or `last`.
    pub conversation: Option<String>,
    /// The model that answers.
    pub model: Option<String>,
    /// What goes along.
    pub files: Vec<PathBuf>,
    /// How the reply is shown.
    pub form: Form,
}

/// Where a password comes from: never from an argument, which everybody on the machine can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordFrom {
    /// Typed, twice, without being shown.
    Terminal,
    /// The first line of stdin.
    Stdin,
}

/// What is to be done with accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserTask {
    /// Make one.
    Add {
        /// Its e-mail address.
        email: String,
        /// Its user name.
        username: Option<String>,
        /// Whether it administers the server.
        role: Role,
        /// Its password.
        password: PasswordFrom,
    },
    /// Show all.
    List(Form),
    /// Give one another password.
    Passwd {
        /// E-mail address, user name or id.
        who: String,
        /// The new one.
        password: PasswordFrom,
    },
    /// Keep one out, at once.
    Disable(String),
    /// Let it in again.
    Enable(String),
    /// Set what one may send and keep: a number, or `default`; `None` leaves it as it is.
    Limit {
        /// E-mail address, user name or id.
        who: String,
        /// Messages in a day.
        messages_per_day: Option<String>,
        /// What its replies may cost in a month, in US dollars.
        budget_usd_month: Option<String>,
        /// What all its uploaded files may take, in MiB.
        upload_quota_mib: Option<String>,
    },
    /// Delete one and all that it has.
    Delete {
        /// E-mail address, user name or id.
        who: String,
        /// Whether somebody is asked first.
        consent: Consent,
    },
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Administer the server.
    Admin,
    /// Not that.
    User,
}

/// Whether what cannot be undone was agreed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// It was.
    Given,
    /// It is asked for.
    Asked,
}

/// What is to be done with API keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyTask {
    /// Make one.
    Create {
        /// What it is for.
        name: String,
        /// When it ends (RFC 3339).
        expires_at: Option<String>,
        /// What its replies may cost in a month, in US dollars.
        budget_usd_month: Option<String>,
    },
    /// Show all.
    List(Form),
    /// Delete one, by its id or its name.
    Revoke(String),
}

/// What is to be done with the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceTask {
    /// Show the unit.
    Print(Scope),
    /// Write the unit, and start it now and at every start of the machine.
    Install(Scope),
    /// Stop it and remove the unit.
    Uninstall(Scope),
    /// Say whether it runs.
    Status(Scope),
}

/// Whose service it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Of whoever installs it.
    User,
    /// The machine's.
    System,
}
