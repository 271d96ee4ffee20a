//! What users set for themselves.

use super::super::{find_settings, update_settings};
use super::*;

#[test]
fn settings_are_replaced_and_their_owners_alone() {
    let rig = Rig::new();
    let (ann, bob) = (rig.user("ann").id, rig.user("bob").id);
    let settings = |user| rig.read(|read| find_settings(read, user)).unwrap();
    assert_eq!(settings(ann), None);
    for json in [r#"{"theme":"dark","n":[1,null]}"#, "{}"] {
        rig.write(move |tx| update_settings(tx, ann, json)).unwrap();
        assert_eq!(settings(ann).as_deref(), Some(json));
    }
    assert_eq!((settings(bob), settings(99)), (None, None));
    let outcome = rig.write(move |tx| update_settings(tx, bob, "no JSON"));
    check_kind(outcome, Kind::Internal);
}
