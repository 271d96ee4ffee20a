//! Administration: everybody's accounts. Administrators manage them; what these hold, they do not see.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::accounts::{NO_USERNAME, check_password, check_username};
use super::changes::given;
use super::paging::PageQuery;
use super::rules::{BUDGETS_USD, MESSAGES_MAX, QUOTAS_MIB};
use super::sign_in::answer_later;
use super::{Ctx, sockets};
use crate::app::App;
use crate::auth::Hashing;
use crate::error::{Error, Kind};
use crate::http::{Auth, Body, Deferred, Json, Later, NoContent, Path, Query, Route, Typed, delete, get, patch, post};
use crate::limits::NAME_CHARS_MAX;
use crate::store::{self, Access, Account, AccountPatch, Act, Admin, Doer, LimitsPatch, NewUser, Page, Subject};

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
        "Change an account's role, name, password or limits, or lock it",
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
    /// Of its own; null: as for everybody, 0: no limit.
    messages_per_day: Option<u32>,
    /// Of its own; null: as for everybody, 0: no limit.
    budget_usd_month: Option<f64>,
    /// Of its own; null: as for everybody.
    upload_quota_mib: Option<u32>,
}

fn view(account: Account) -> AccountView {
    let user = account.user;
    AccountView {
        id: user.uuid,
        username: user.username.or_else(|| user.email.clone()),
        email: user.email,
        external_id: user.external_id,
        display_name: user.display_name,
        role: role(user.admin),
        disabled: user.disabled,
        created_at: user.created_at,
        conversation_count: user.conversation_count,
        attachment_bytes: account.attachment_bytes,
        messages_per_day: user.limits.messages_per_day,
        budget_usd_month: user.limits.budget_usd_month,
        upload_quota_mib: user.limits.upload_quota_mib,
    }
}

fn role(admin: Admin) -> &'static str {
    match admin {
        Admin::Yes => "admin",
        Admin::No | Admin::IfFirst => "user",
    }
}

/// Of an account, what the log of administrators says about it when that changes.
fn facts(account: &Account) -> Value {
    let (user, limits) = (&account.user, account.user.limits);
    json!({
        "role": role(user.admin),
        "disabled": user.disabled,
        "display_name": user.display_name,
        "messages_per_day": limits.messages_per_day,
        "budget_usd_month": limits.budget_usd_month,
        "upload_quota_mib": limits.upload_quota_mib,
    })
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
    let checked = check_password(&body.password)
        .and_then(|()| body.username.as_deref().map_or(Ok(()), check_username))
        .and_then(|()| ctx.doer());
    let prepared = checked.map(|doer| (app, doer, body));
    answer_later(ctx, prepared, respond, |(app, doer, body), hashing| {
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
            let changes = store::differences(&Value::Null, &json!({ "role": role(user.admin) }));
            store::insert_entry(tx, &doer, Act::UserCreate, &Subject::user(&user), changes)?;
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
    /// 0: no limit; null: as for everybody.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<u32>", range(max = MESSAGES_MAX))]
    messages_per_day: Option<Option<u32>>,
    /// US dollars; 0: no limit; null: as for everybody.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<f64>", range(min = *BUDGETS_USD.start(), max = *BUDGETS_USD.end()))]
    budget_usd_month: Option<Option<f64>>,
    /// What all uploaded files may take together; null: as for everybody.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<u32>", range(min = *QUOTAS_MIB.start(), max = *QUOTAS_MIB.end()))]
    upload_quota_mib: Option<Option<u32>>,
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
    doer: Doer,
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
            doer: ctx.doer()?,
            patch: AccountPatch {
                admin: body.role.map(Admin::from),
                access: body.disabled.map(access),
                display_name: body.display_name,
                password_hash: None,
                limits: LimitsPatch {
                    messages_per_day: body.messages_per_day,
                    budget_usd_month: body.budget_usd_month,
                    upload_quota_mib: body.upload_quota_mib,
                },
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
        let (uuid, doer) = (self.uuid, self.doer);
        let account = self.app.store.write(move |tx| {
            let before = store::find_account(tx, &uuid)?;
            let after = store::update_account(tx, &uuid, &patch, &doer.at)?;
            let mut changes = store::differences(&facts(&before), &facts(&after));
            if patch.password_hash.is_some() {
                changes.push(store::changed_secret("password"));
            }
            store::insert_changes(tx, &doer, Act::UserUpdate, &Subject::user(&after.user), changes)?;
            Ok(after)
        })?;
        if account.user.disabled {
            self.app.turns.stop_user(account.user.id);
        }
        sockets::recheck(&self.app, account.user.id);
        Typed::json(&view(account))
    }
}

fn remove_user(ctx: &Ctx, Path(path): Path<UserPath>) -> Result<(), Error> {
    let (uuid, doer) = (path.uuid()?, ctx.doer()?);
    let store = &ctx.app.store;
    let user_id = store.write(move |tx| {
        let user = store::remove_account(tx, &uuid, &doer.at)?;
        store::insert_entry(tx, &doer, Act::UserDelete, &Subject::user(&user), Vec::new())?;
        Ok(user.id)
    })?;
    ctx.app.turns.stop_user(user_id);
    sockets::recheck(&ctx.app, user_id);
    store.clear_away_soon();
    Ok(())
}
