//! API keys from the terminal.

use crate::support::on_both;

on_both! {
    fn a_key_is_shown_once_listed_rotated_and_revoked(place) {
        place.ok("migrate run");
        let made = place.ok("apikey create billing --scope users:read,pets:read --expires 90d --json").json();
        let token = made["token"].as_str().unwrap();
        assert!(token.starts_with("psk_") && token.len() == 68, "{token}");
        assert_eq!(made["scopes"], serde_json::json!(["pets:read", "users:read"]));
        for line in ["apikey show billing --json", "apikey list --json"] {
            let shown = place.ok(line);
            assert!(!shown.stdout.contains(&token[4..]) && !shown.stdout.contains("digest"), "{shown:#?}");
        }
        let shown = place.ok(&format!("apikey show {} --json", made["id"].as_str().unwrap())).json();
        assert_eq!((&shown["name"], &shown["state"]), (&"billing".into(), &"active".into()));
        assert!(shown["created_by"].as_str().unwrap().starts_with("cli:"), "{shown}");
        assert!(shown["last_used_at"].is_null() && shown["expires_at"].is_string());

        let rotated = place.ok("apikey rotate billing --overlap 1h --json").json();
        assert_eq!(rotated["id"], made["id"]);
        assert_ne!(rotated["token"], made["token"]);
        assert!(rotated["previous_expires_at"].is_string());

        assert_eq!(place.ok("apikey revoke billing --dry-run --json").json()["changed"], false);
        place.run("apikey revoke billing").expect(6).says("--yes");
        assert_eq!(place.ok("apikey list --json").json()["apikeys"].as_array().unwrap().len(), 1);
        assert_eq!(place.ok("apikey revoke billing --yes --reason leaked --json").json()["changed"], true);
        assert_eq!(place.ok("apikey list --json").json()["apikeys"].as_array().unwrap().len(), 0);
        assert_eq!(place.ok("apikey list --all --json").json()["apikeys"][0]["state"], "revoked");
        place.run("apikey rotate billing").expect(4);
        let audited = place.ok("audit list --action authn_token_revoked --json").json();
        assert_eq!(audited["entries"][0]["reason"], "leaked", "{audited}");
        let again = format!("apikey revoke {} --yes --json", made["id"].as_str().unwrap());
        assert_eq!(place.ok(&again).json()["changed"], false);
    }

    fn mistakes_about_keys_have_their_codes(place) {
        place.ok("migrate run");
        place.ok("apikey create billing --scope pets:read --expires never");
        place.run("apikey create billing --scope pets:read").expect(5).says("already an API key");
        place.run("apikey create other").expect(2).says("--scope");
        place.run("apikey create other --scope pets:eat").expect(2).says("pets:write");
        place.run("apikey create other --scope staff:write").expect(2);
        place.run("apikey create other --scope pets:read --expires soon").expect(2).says("never");
        place.run("apikey create other --scope pets:read --expires 0s").expect(2).says("expiresIn");
        for line in ["apikey show nobody", "apikey rotate nobody", "apikey revoke nobody --yes"] {
            place.run(line).expect(4).says("no such API key");
        }
    }

    fn a_user_is_suspended_banned_let_in_again_and_signed_out(place) {
        place.ok("migrate run");
        place.user("root@example.org", "--role admin");
        place.user("ada@example.org", "");
        let status = || place.ok("user show ada@example.org --json").json()["status"].clone();
        place.run("user suspend ada@example.org").expect(2).says("--reason");
        let preview = place.ok("user suspend ada@example.org --reason spam --dry-run --json").json();
        assert_eq!((&preview["changed"], &preview["to"], &status()), (&false.into(), &"suspended".into(), &"active".into()));
        let done = place.ok("user suspend ada@example.org --reason spam --until 7d --json").json();
        assert!(done["changed"] == true && done["until"].is_string(), "{done}");
        assert_eq!(status(), "suspended");
        assert_eq!(place.ok("user unsuspend ada@example.org --json").json()["from"], "suspended");
        assert_eq!(place.ok("user unsuspend ada@example.org --json").json()["changed"], false);
        place.run("user ban ada@example.org --reason spam").expect(6).says("--yes");
        assert_eq!(status(), "active");
        place.ok("user ban ada@example.org --reason spam --yes");
        assert_eq!(status(), "banned");
        place.run("user suspend ada@example.org --reason spam --until 2020-01-01T00:00:00Z").expect(2).says("until");
        place.run("user suspend ada@example.org --reason spam --until soon").expect(2).says("7d");
        place.run("user logout ada@example.org").expect(6).says("--yes");
        assert_eq!(place.ok("user logout ada@example.org --yes --json").json()["sessions_ended"], 0);
        for line in ["user suspend nobody@example.org --reason spam", "user logout nobody@example.org --yes"] {
            place.run(line).expect(4);
        }
        for line in ["suspend root@example.org --reason spam", "ban root@example.org --reason spam --yes"] {
            place.run(&format!("user {line}")).expect(5).says("last active administrator");
        }
        assert_eq!(place.ok("user suspend root@example.org --reason spam --force --json").json()["changed"], true);
    }
}
