//! What administrators do to accounts.

use super::super::{Access, AccountPatch, count_accounts, find_setting, remove_account, save_setting, update_account};
use super::*;

/// Removes an account and waits until the writer has cleared it away.
fn remove(rig: &Rig, user: &User) {
    let uuid = user.uuid.clone();
    rig.write(move |tx| remove_account(tx, &uuid, &at(9))).unwrap();
    rig.clear_away_soon();
    until("the account is gone", || {
        rig.value::<i64>("SELECT count(*) FROM users WHERE removed_at IS NOT NULL") == 0
    });
}

#[test]
fn of_a_removed_account_nothing_is_left() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann"), rig.user("bob"));
    for owner in [ann.id, bob.id] {
        for number in 0..210 {
            let conversation = rig.conversation(owner, number);
            rig.message(conversation, owner, "a word");
        }
        rig.batch(&format!(
            "INSERT INTO usage_details (user_id, scope, model, input_tokens, output_tokens, created_at)
             SELECT {owner}, 'final', 'm', 1, 1, '' FROM conversations WHERE user_id = {owner};
             INSERT INTO documents (uuid, user_id, title, size, sha256, chunk_count, created_at)
             VALUES ('d{owner}', {owner}, 't', 1, 's', 0, '');
             INSERT INTO sessions (id, user_id, version, created_at, expires_at) VALUES ('s{owner}', {owner}, 1, '', '9');
             INSERT INTO blobs (sha256, touched_at) VALUES ('b{owner}', '');
             INSERT INTO attachments (uuid, user_id, filename, content_type, size, sha256, created_at)
             VALUES ('a{owner}', {owner}, 'f', 't', 1, 'b{owner}', '9')"
        ));
    }
    remove(&rig, &ann);
    for (table, left) in [
        ("conversations", 210),
        ("messages", 210),
        ("usage_details", 210),
        ("documents", 1),
        ("sessions", 1),
        ("attachments", 1),
        ("users", 1),
    ] {
        let owner = if table == "users" { "id" } else { "user_id" };
        let count = |id: i64| rig.value::<i64>(&format!("SELECT count(*) FROM {table} WHERE {owner} = {id}"));
        assert_eq!((count(ann.id), count(bob.id)), (0, left), "{table}");
    }
    // The name is free.
    rig.user("ann");
}

#[test]
fn a_removed_account_is_nobodys_at_once() {
    let rig = Rig::new();
    let (ann, _) = (rig.user("ann"), rig.user("bob"));
    let uuid = ann.uuid.clone();
    rig.write(move |tx| remove_account(tx, &uuid, &at(9))).unwrap();
    let uuid = ann.uuid.clone();
    check_kind(rig.write(move |tx| remove_account(tx, &uuid, &at(9))), Kind::NotFound);
    assert_eq!(rig.read(count_accounts).unwrap(), 1);
    assert!(
        rig.read(|read| find_user_by_id(read, ann.id))
            .unwrap()
            .unwrap()
            .disabled
    );
}

#[test]
fn one_administrator_stays() {
    let rig = Rig::new();
    let admin = |name: &str| {
        let new = NewUser {
            admin: Admin::Yes,
            ..new_user(name)
        };
        rig.write(move |tx| insert_user(tx, &new)).unwrap()
    };
    let (ann, bob) = (admin("ann"), admin("bob"));
    let change = |user: &User, patch: AccountPatch| {
        let uuid = user.uuid.clone();
        rig.write(move |tx| update_account(tx, &uuid, &patch, &at(9)))
    };
    let demoted = AccountPatch {
        admin: Some(Admin::No),
        ..AccountPatch::default()
    };
    let disabled = AccountPatch {
        access: Some(Access::Disabled),
        ..AccountPatch::default()
    };
    assert!(change(&bob, disabled.clone()).unwrap().user.disabled);
    check_kind(change(&ann, demoted.clone()), Kind::Conflict);
    check_kind(change(&ann, disabled), Kind::Conflict);
    let uuid = ann.uuid.clone();
    check_kind(rig.write(move |tx| remove_account(tx, &uuid, &at(9))), Kind::Conflict);
    let enabled = AccountPatch {
        access: Some(Access::Enabled),
        ..AccountPatch::default()
    };
    assert!(!change(&bob, enabled).unwrap().user.disabled);
    assert_eq!(change(&ann, demoted).unwrap().user.admin, Admin::No);
}

#[test]
fn settings_are_kept_and_forgotten() {
    let rig = Rig::new();
    let find = || rig.read(|read| find_setting(read, "colour")).unwrap();
    for value in [Some("red"), Some("blue"), None, None] {
        rig.write(move |tx| save_setting(tx, "colour", value)).unwrap();
        assert_eq!(find().as_deref(), value);
    }
}
