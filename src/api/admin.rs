//! Administration: everybody's accounts, who may sign up, and limits. Administrators manage accounts; what these hold,
//! they do not see.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::accounts::{NO_USERNAME, check_password, check_username};
use super::paging::PageQuery;
use super::sign_in::answer_later;
use super::{Ctx, sockets};
use crate::app::App;
use crate::auth::Hashing;
use crate::cli::Signup;
use crate::error::{Error, Kind};
use crate::http::{
    Auth, Body, Deferred, Json, Later, NoContent, Path, Query, Route, Typed, delete, get, patch, post, put,
};
use crate::limits::NAME_CHARS_MAX;
use crate::store::{self, Access, Account, AccountPatch, Admin, NewUser, Page};

pub(super) const ROUTES: &[Route<Ctx>] = &[
    get(
        "/admin/users",
        Auth::Admin,
        "List all accounts, oldest first",
        &Json(list_users),
    ),
    post(
        "/admin/users",
        Auth::Admin,
        "Make an account for somebody",
        &Deferred(create_user),
    )
    .fails(&[Kind::Conflict]),
    patch(
        "/admin/users/{user_id}",
        Auth::Admin,
        "Change an account's role, name or password, or lock it",
        &Deferred(update_user),
    )
    .fails(&[Kind::Conflict]),
    delete(
        "/admin/users/{user_id}",
        Auth::Admin,
        "Delete an account and everything it holds, for good",
        &NoContent(remove_user),
    )
    .fails(&[Kind::Conflict]),
    get(
        "/admin/signup",
        Auth::Admin,
        "Whether visitors may make an account",
        &Json(read_signup),
    ),
    put(
        "/admin/signup",
        Auth::Admin,
        "Open or close registration",
        &Json(set_signup),
    )
    .fails(&[Kind::Conflict]),
    get(
        "/admin/limits",
        Auth::Admin,
        "What a user may send and keep",
        &Json(read_limits),
    ),
    put(
        "/admin/limits",
        Auth::Admin,
        "Set what a user may send and keep",
        &Json(set_limits),
    )
    .fails(&[Kind::Conflict]),
];

/// An account as administrators see it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Account")]
struct AccountView {
    #[schemars(extend("format" = "uuid"))]
    id: String,
    username: Option<String>,
    email: Option<String>,
    /// The identity in another system's tokens, for those who come from there.
    external_id: Option<String>,
    display_name: Option<String>,
    #[schemars(extend("enum" = ["admin", "user"]))]
    role: &'static str,
    disabled: bool,
    #[schemars(extend("format" = "date-time"))]
    created_at: String,
    conversation_count: i64,
    attachment_bytes: i64,
}

fn view(account: Account) -> AccountView {
    let user = account.user;
    AccountView {
        id: user.uuid,
        username: user.username.or_else(|| user.email.clone()),
        email: user.email,
        external_id: user.external_id,
        display_name: user.display_name,
        role: if user.admin == Admin::Yes { "admin" } else { "user" },
        disabled: user.disabled,
        created_at: user.created_at,
        conversation_count: user.conversation_count,
        attachment_bytes: account.attachment_bytes,
    }
}

#[derive(Serialize, JsonSchema)]
struct AccountList {
    users: Vec<AccountView>,
    total: i64,
}

fn list_users(ctx: &Ctx, Query(query): Query<PageQuery>) -> Result<AccountList, Error> {
    let page = Page::from(query);
    let (accounts, total) = ctx
        .app
        .store
        .read(|read| Ok((store::list_accounts(read, page)?, store::count_accounts(read)?)))?;
    Ok(AccountList {
        users: accounts.into_iter().map(view).collect(),
        total,
    })
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum Role {
    Admin,
    User,
}

impl From<Role> for Admin {
    fn from(role: Role) -> Admin {
        match role {
            Role::Admin => Admin::Yes,
            Role::User => Admin::No,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
struct NewAccount {
    #[schemars(email)]
    email: String,
    #[schemars(length(min = 1, max = 1024), extend("format" = "password"))]
    password: String,
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    display_name: Option<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 64), extend("not" = { "pattern": NO_USERNAME }))]
    username: Option<String>,
    #[serde(default)]
    role: Option<Role>,
}

fn create_user(ctx: &Ctx, Body(body): Body<NewAccount>, respond: Later<Typed<AccountView, 201>>) {
    let app = Arc::clone(&ctx.app);
    let checked = check_password(&body.password).and_then(|()| body.username.as_deref().map_or(Ok(()), check_username));
    answer_later(ctx, checked.map(|()| (app, body)), respond, |(app, body), hashing| {
        let new = NewUser {
            uuid: app.clock.uuid(),
            external_id: None,
            username: body.username,
            email: Some(body.email),
            display_name: body.display_name,
            password_hash: Some(hashing.hash(&body.password)?),
            admin: body.role.map_or(Admin::No, Admin::from),
            created_at: app.clock.now().text(),
        };
        let account = app.store.write(move |tx| {
            let user = store::insert_user(tx, &new)?;
            store::find_account(tx, &user.uuid)
        })?;
        Typed::json(&view(account))
    });
}

#[derive(Deserialize, JsonSchema)]
struct UserPath {
    user_id: String,
}

impl UserPath {
    /// In the form that is stored; what is no UUID is nobody's.
    fn uuid(&self) -> Result<String, Error> {
        let uuid = uuid::Uuid::try_parse(&self.user_id);
        let uuid = uuid.map_err(|_| Error::new(Kind::NotFound, "User not found"))?;
        Ok(uuid.hyphenated().to_string())
    }
}

#[derive(Deserialize, JsonSchema)]
struct UpdateAccount {
    #[serde(default)]
    role: Option<Role>,
    /// True ends every session, socket and key of the account within a second.
    #[serde(default)]
    disabled: Option<bool>,
    #[serde(default)]
    #[schemars(length(max = NAME_CHARS_MAX))]
    display_name: Option<String>,
    /// A new password, which ends every session of the account.
    #[serde(default)]
    #[schemars(length(min = 1, max = 1024), extend("format" = "password"))]
    password: Option<String>,
}

type Updated = Later<Typed<AccountView>>;

fn update_user(ctx: &Ctx, (Path(path), Body(body)): (Path<UserPath>, Body<UpdateAccount>), respond: Updated) {
    let change = Change::new(ctx, &path, body);
    match change {
        Ok(change) if change.password.is_none() => respond.send(change.store(None)),
        change => answer_later(ctx, change, respond, Change::hash_and_store),
    }
}

struct Change {
    app: Arc<App>,
    uuid: String,
    patch: AccountPatch,
    password: Option<String>,
}

impl Change {
    fn new(ctx: &Ctx, path: &UserPath, body: UpdateAccount) -> Result<Change, Error> {
        body.password.as_deref().map_or(Ok(()), check_password)?;
        let access = |is_disabled| if is_disabled { Access::Disabled } else { Access::Enabled };
        Ok(Change {
            app: Arc::clone(&ctx.app),
            uuid: path.uuid()?,
            patch: AccountPatch {
                admin: body.role.map(Admin::from),
                access: body.disabled.map(access),
                display_name: body.display_name,
                password_hash: None,
            },
            password: body.password,
        })
    }

    fn hash_and_store(self, hashing: &Hashing) -> Result<Typed<AccountView>, Error> {
        let hash = self.password.as_deref().map(|password| hashing.hash(password));
        let hash = hash.transpose()?;
        self.store(hash)
    }

    fn store(self, password_hash: Option<String>) -> Result<Typed<AccountView>, Error> {
        let patch = AccountPatch {
            password_hash,
            ..self.patch
        };
        let (uuid, now) = (self.uuid, self.app.clock.now().text());
        let account = self
            .app
            .store
            .write(move |tx| store::update_account(tx, &uuid, &patch, &now))?;
        if account.user.disabled {
            self.app.turns.stop_user(account.user.id);
        }
        sockets::recheck(&self.app, account.user.id);
        Typed::json(&view(account))
    }
}

fn remove_user(ctx: &Ctx, Path(path): Path<UserPath>) -> Result<(), Error> {
    let (uuid, now) = (path.uuid()?, ctx.now());
    let store = &ctx.app.store;
    let user_id = store.write(move |tx| store::remove_account(tx, &uuid, &now))?;
    ctx.app.turns.stop_user(user_id);
    sockets::recheck(&ctx.app, user_id);
    store.clear_away_soon();
    Ok(())
}

/// Who may sign up, and who said so.
#[derive(Serialize, JsonSchema)]
struct SignupView {
    #[schemars(extend("enum" = ["open", "closed"]))]
    signup: &'static str,
    /// `flag`: given at start, and not to be changed here; `stored`: set here; `default`: open when local.
    #[schemars(extend("enum" = ["flag", "stored", "default"]))]
    source: &'static str,
}

fn read_signup(ctx: &Ctx, (): ()) -> Result<SignupView, Error> {
    let policy = &ctx.app.policy;
    let source = match (policy.given().signup, policy.rules().signup) {
        (Some(_), _) => "flag",
        (None, Some(_)) => "stored",
        (None, None) => "default",
    };
    let signup = if ctx.app.signup(&ctx.request).is_some() {
        "open"
    } else {
        "closed"
    };
    Ok(SignupView { signup, source })
}

#[derive(Deserialize, JsonSchema)]
struct SetSignup {
    /// Null: the default again.
    signup: Option<SignupName>,
}

#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum SignupName {
    Open,
    Closed,
}

fn set_signup(ctx: &Ctx, Body(body): Body<SetSignup>) -> Result<SignupView, Error> {
    let signup = body.signup.map(|name| match name {
        SignupName::Open => Signup::Open,
        SignupName::Closed => Signup::Closed,
    });
    ctx.app.policy.set_signup(&ctx.app.store, signup)?;
    read_signup(ctx, ())
}

/// What a user may send and keep.
#[derive(Serialize, JsonSchema)]
struct LimitsView {
    /// 0: no limit; null: none when local, else 60.
    messages_per_minute: Option<u32>,
    /// What all uploaded files of a user may take together.
    upload_quota_mib: u64,
    /// Those that were given at start, and cannot be changed here.
    given: Vec<&'static str>,
}

fn read_limits(ctx: &Ctx, (): ()) -> Result<LimitsView, Error> {
    let policy = &ctx.app.policy;
    let given = policy.given();
    let names = [
        ("messages_per_minute", given.messages_per_minute),
        ("upload_quota_mib", given.upload_quota_mib),
    ];
    Ok(LimitsView {
        messages_per_minute: policy.rules().messages_per_minute,
        upload_quota_mib: policy.upload_quota_bytes() >> 20,
        given: names
            .iter()
            .filter(|(_, value)| value.is_some())
            .map(|(name, _)| *name)
            .collect(),
    })
}

#[derive(Deserialize, JsonSchema)]
struct SetLimits {
    /// 0: no limit; null or left out: the default again.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    messages_per_minute: Option<u32>,
    /// Null or left out: the default again.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1_000_000))]
    upload_quota_mib: Option<u32>,
}

fn set_limits(ctx: &Ctx, Body(body): Body<SetLimits>) -> Result<LimitsView, Error> {
    let app = &ctx.app;
    app.policy
        .set_limits(&app.store, body.messages_per_minute, body.upload_quota_mib)?;
    read_limits(ctx, ())
}
