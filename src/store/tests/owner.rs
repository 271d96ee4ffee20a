//! What the owner of the machine asks: which account is theirs, and how the database is.

use super::super::{Access, AccountPatch, Inspection, find_account_of_owner, inspect, update_account};
use super::*;

impl Rig {
    fn change(&self, user: &User, patch: AccountPatch) {
        let uuid = user.uuid.clone();
        self.write(move |tx| update_account(tx, &uuid, &patch, &at(1))).unwrap();
    }

    fn owner(&self) -> Result<i64, Kind> {
        let found = self.read(find_account_of_owner);
        found.map(|user| user.id).map_err(|error| error.kind())
    }
}

#[test]
fn the_first_administrator_who_can_sign_in_is_the_owner() {
    let rig = Rig::new();
    assert_eq!(rig.owner(), Err(Kind::NotFound));
    let ann = rig.user("ann");
    assert_eq!(rig.owner(), Ok(ann.id), "the only account");
    let bob = rig.user("bob");
    assert_eq!(rig.owner(), Err(Kind::Conflict), "several, and none an administrator's");
    let promote = |user: &User| {
        let admin = AccountPatch {
            admin: Some(Admin::Yes),
            ..AccountPatch::default()
        };
        rig.change(user, admin);
    };
    promote(&bob);
    assert_eq!(rig.owner(), Ok(bob.id));
    promote(&ann);
    assert_eq!(rig.owner(), Ok(ann.id));
    let disabled = AccountPatch {
        access: Some(Access::Disabled),
        ..AccountPatch::default()
    };
    rig.change(&ann, disabled);
    assert_eq!(rig.owner(), Ok(bob.id));
}

#[test]
fn a_database_is_looked_at_while_it_is_in_use() {
    let rig = Rig::new();
    rig.user("ann");
    let Inspection {
        schema,
        newest_schema,
        damage,
    } = inspect(&rig.location).unwrap().unwrap();
    assert_eq!((schema, damage), (newest_schema, None));
    rig.user("bob");
    let nowhere = Location {
        database: rig.location.folder.join("none.db"),
        folder: rig.location.folder.clone(),
    };
    assert_eq!(inspect(&nowhere).unwrap(), None);
    assert!(!nowhere.database.exists());
    std::fs::write(
        &nowhere.database,
        "somebody else's file, of whatever kind it may be, and left so",
    )
    .unwrap();
    assert_eq!(inspect(&nowhere).unwrap_err().kind(), Kind::Unavailable);
}
