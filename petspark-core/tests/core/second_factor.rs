//! Second factors: a code counts once, guessing doesn't pay, and nobody gets rid of a factor who
//! can't give it.

use std::time::Duration;

use futures_util::future::join_all;
use petspark_core::auth::{
    AuthError, Client, Password, Role, SecondFactorFor, SignedIn, StepUp, Tokens, WhichThrottles,
};
use petspark_core::mail::Template;
use petspark_core::testing::{TestApp, TestUser, on_both, totp_code};
use petspark_core::{Caller, Failure as _, Migrate, Origin, PetSpark, Secret};
use sqlx::Row as _;

use crate::sql::{Direct, connect};

const STEP: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

struct Enrolled {
    secret: Secret,
    recovery_codes: Vec<Secret>,
    tokens: Tokens,
    caller: Caller,
}

impl Enrolled {
    fn code(&self, app: &TestApp) -> String {
        totp_code(&self.secret, app.clock.now())
    }
}

/// Sets up an authenticator app, and waits until it shows another code than the one used for that.
async fn enrol(app: &TestApp, user: &TestUser) -> Enrolled {
    let auth = app.petspark.auth();
    let secret = auth.begin_totp(&user.caller).await.unwrap().secret;
    let code = totp_code(&secret, app.clock.now());
    let enrolled = auth.confirm_totp(&user.caller, &code).await.unwrap();
    let caller = auth.authenticate(enrolled.tokens.access.expose()).await.unwrap();
    app.clock.advance(STEP);
    Enrolled { secret, recovery_codes: enrolled.recovery_codes, tokens: enrolled.tokens, caller }
}

async fn login(app: &TestApp, name: &str) -> Result<SignedIn, AuthError> {
    let email = format!("{name}@example.org");
    app.petspark.auth().login(&email, Password::new(TestApp::PASSWORD), Client::default()).await
}

/// Signs in with the password, and gives the token for the second step.
async fn challenge(app: &TestApp, name: &str) -> Secret {
    match login(app, name).await {
        Err(AuthError::SecondFactorNeeded { mfa_token }) => mfa_token,
        other => panic!("{other:?}"),
    }
}

async fn verify(app: &TestApp, token: &Secret, code: &str) -> Result<SignedIn, AuthError> {
    app.petspark.auth().verify_second_factor(token.expose(), code, Client::default()).await
}

/// A code that is none of those that count.
fn wrong(enrolled: &Enrolled, app: &TestApp) -> String {
    let now = app.clock.now();
    let right = [now.before(STEP), now, now.after(STEP)].map(|at| totp_code(&enrolled.secret, at));
    (0..10).map(|n| format!("{n:06}")).find(|code| !right.contains(code)).unwrap()
}

on_both! {
    async fn asvs_6_4_3_a_reset_password_gets_nobody_past_the_second_factor(app: TestApp) {
        let ada = app.register("ada").await;
        let (auth, enrolled) = (app.petspark.auth(), enrol(&app, &ada).await);
        auth.forgot_password(&Caller::anonymous(), "ada@example.org").await.unwrap();
        let link = app.mail("ada@example.org", Template::ResetPassword).await.token();
        let new = "another good passphrase";
        auth.reset_password(&Caller::anonymous(), link.expose(), Password::new(new)).await.unwrap();
        assert!(auth.authenticate(enrolled.tokens.access.expose()).await.is_err());
        let operator = Caller::operator("test");
        assert!(auth.list_sessions(&operator, ada.id).await.unwrap().is_empty(), "a reset begins no session");
        assert!(auth.factors(&operator, ada.id).await.unwrap().totp_since.is_some());
        let login = auth.login("ada@example.org", Password::new(new), Client::default()).await;
        let Err(AuthError::SecondFactorNeeded { mfa_token }) = login else { panic!("{login:?}") };
        assert!(auth.list_sessions(&operator, ada.id).await.unwrap().is_empty());
        assert!(verify(&app, &mfa_token, &enrolled.code(&app)).await.is_ok());
    }

    async fn a_second_factor_is_asked_for_and_signs_in(app: TestApp) {
        let ada = app.register("ada").await;
        assert!(login(&app, "ada").await.is_ok());
        let enrolled = enrol(&app, &ada).await;
        let error = login(&app, "ada").await.unwrap_err();
        assert_eq!(error.code(), "AUTH_010");
        assert!(error.details().unwrap()["mfaToken"].as_str().is_some_and(|token| token.starts_with("pst_")));
        let token = challenge(&app, "ada").await;
        assert!(app.petspark.auth().authenticate(token.expose()).await.is_err(), "the step between is no session");
        assert!(app.petspark.auth().refresh(token.expose(), Origin::default()).await.is_err());
        let code = enrolled.code(&app);
        let signed_in = verify(&app, &token, &format!(" {} {} ", &code[..3], &code[3..])).await.unwrap();
        assert_eq!(signed_in.user.id, ada.id);
        assert!(app.petspark.auth().authenticate(signed_in.tokens.access.expose()).await.is_ok());
        assert!(app.petspark.auth().refresh(signed_in.tokens.refresh.expose(), Origin::default()).await.is_ok());
    }

    async fn asvs_6_5_1_a_code_of_the_app_works_once_the_one_that_set_it_up_included(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let secret = auth.begin_totp(&ada.caller).await.unwrap().secret;
        let code = totp_code(&secret, app.clock.now());
        auth.confirm_totp(&ada.caller, &code).await.unwrap();
        let token = challenge(&app, "ada").await;
        assert!(matches!(verify(&app, &token, &code).await, Err(AuthError::WrongCode)));
        app.clock.advance(STEP);
        let next = totp_code(&secret, app.clock.now());
        assert!(verify(&app, &token, &next).await.is_ok());
        assert!(matches!(verify(&app, &token, &next).await, Err(AuthError::OneTimeTokenInvalid)));
        let token = challenge(&app, "ada").await;
        assert!(matches!(verify(&app, &token, &next).await, Err(AuthError::WrongCode)));
        assert!(matches!(verify(&app, &token, &code).await, Err(AuthError::WrongCode)), "an earlier one");
    }

    async fn asvs_6_5_1_a_recovery_code_works_once(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        assert_eq!(enrolled.recovery_codes.len(), 10);
        let code = enrolled.recovery_codes[3].expose().to_uppercase();
        assert!(verify(&app, &challenge(&app, "ada").await, &code).await.is_ok());
        assert!(matches!(verify(&app, &challenge(&app, "ada").await, &code).await, Err(AuthError::WrongCode)));
        let factors = app.petspark.auth().my_factors(&enrolled.caller).await.unwrap();
        assert_eq!((factors.recovery_codes_left, factors.totp_since.is_some()), (9, true));
    }

    async fn asvs_6_5_1_of_twenty_parallel_uses_of_one_code_one_signs_in(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        for code in [enrolled.code(&app), enrolled.recovery_codes[0].expose().to_owned()] {
            let mut tokens = Vec::new();
            for _ in 0..10 {
                tokens.push(challenge(&app, "ada").await);
            }
            let uses = tokens.iter().chain(&tokens).map(|token| verify(&app, token, &code));
            let results = join_all(uses).await;
            assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
            app.clock.advance(MINUTE);
            // Ten sign-ins begun and not ended slow the account down.
            let (operator, all) = (Caller::operator("test"), WhichThrottles::All);
            app.petspark.auth().clear_throttles(&operator, &all).await.unwrap();
        }
        let token = challenge(&app, "ada").await;
        let code = enrolled.code(&app);
        let results = join_all((0..20).map(|_| verify(&app, &token, &code))).await;
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    }

    async fn asvs_6_6_2_a_code_given_for_one_sign_in_or_user_is_none_for_another(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let (of_ada, of_bob) = (enrol(&app, &ada).await, enrol(&app, &bob).await);
        let bobs = challenge(&app, "bob").await;
        for code in [of_ada.code(&app), of_ada.recovery_codes[0].expose().to_owned()] {
            assert!(matches!(verify(&app, &bobs, &code).await, Err(AuthError::WrongCode)));
        }
        let (first, second) = (challenge(&app, "ada").await, challenge(&app, "ada").await);
        let code = of_ada.code(&app);
        assert!(verify(&app, &first, &code).await.is_ok());
        assert!(matches!(verify(&app, &second, &code).await, Err(AuthError::WrongCode)));
        assert!(verify(&app, &bobs, &of_bob.code(&app)).await.is_ok());
    }

    async fn asvs_6_6_3_after_five_wrong_codes_the_right_one_fails(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        let token = challenge(&app, "ada").await;
        let wrong = wrong(&enrolled, &app);
        let results = join_all((0..20).map(|_| verify(&app, &token, &wrong))).await;
        let counted = results.iter().filter(|result| matches!(result, Err(AuthError::WrongCode))).count();
        let refused = results.iter().filter(|result| matches!(result, Err(AuthError::OneTimeTokenInvalid))).count();
        assert_eq!((counted, refused), (5, 15), "guesses made at the same moment are counted too");
        for code in [enrolled.code(&app), enrolled.recovery_codes[0].expose().to_owned()] {
            assert!(matches!(verify(&app, &token, &code).await, Err(AuthError::OneTimeTokenInvalid)));
        }
        assert!(verify(&app, &challenge(&app, "ada").await, &enrolled.code(&app)).await.is_ok());
    }

    async fn who_guesses_on_in_new_challenges_has_to_wait_and_the_owner_has_recovery_codes(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        let wrong = wrong(&enrolled, &app);
        for _ in 0..2 {
            let token = challenge(&app, "ada").await;
            for _ in 0..5 {
                assert!(matches!(verify(&app, &token, &wrong).await, Err(AuthError::WrongCode)));
            }
        }
        let token = challenge(&app, "ada").await;
        let error = verify(&app, &token, &enrolled.code(&app)).await.unwrap_err();
        assert_eq!((error.code(), error.retry_after()), ("RATE_LIMITED", Some(Duration::from_secs(1))));
        assert!(verify(&app, &token, enrolled.recovery_codes[0].expose()).await.is_ok());
        app.clock.advance(Duration::from_secs(1));
        let token = challenge(&app, "ada").await;
        assert!(matches!(verify(&app, &token, &wrong).await, Err(AuthError::WrongCode)));
        app.clock.advance(Duration::from_secs(1));
        assert!(matches!(verify(&app, &token, &enrolled.code(&app)).await, Err(AuthError::TooMany { .. })));
        app.clock.advance(Duration::from_secs(1));
        assert!(verify(&app, &token, &enrolled.code(&app)).await.is_ok());
        app.clock.advance(STEP);
        // A success pays the debt.
        let token = challenge(&app, "ada").await;
        assert!(matches!(verify(&app, &token, &wrong).await, Err(AuthError::WrongCode)));
        assert!(verify(&app, &token, &enrolled.code(&app)).await.is_ok());
    }

    async fn the_second_step_waits_five_minutes_and_for_nobody_whose_sessions_were_ended(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        let token = challenge(&app, "ada").await;
        app.clock.advance(MINUTE * 5);
        assert!(matches!(verify(&app, &token, &enrolled.code(&app)).await, Err(AuthError::OneTimeTokenInvalid)));
        let token = challenge(&app, "ada").await;
        app.petspark.auth().set_role(&Caller::operator("test"), ada.id, Role::Moderator, false).await.unwrap();
        assert!(matches!(verify(&app, &token, &enrolled.code(&app)).await, Err(AuthError::OneTimeTokenInvalid)));
        let refresh = ada.signed_in.tokens.refresh.expose();
        for garbage in ["", "pst_", "pst_AAAA", refresh, enrolled.tokens.access.expose(), "\0", "ü"] {
            let result = verify(&app, &Secret::new(garbage), &enrolled.code(&app)).await;
            assert!(matches!(result, Err(AuthError::OneTimeTokenInvalid)), "{garbage:?}");
        }
    }

    async fn asvs_6_4_4_the_password_alone_does_not_remove_the_factor_and_a_recovery_code_does(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        let auth = app.petspark.auth();
        app.clock.advance(MINUTE * 11);
        assert!(matches!(auth.remove_totp(&enrolled.caller, None).await, Err(AuthError::StepUpRequired)));
        let tokens = auth.step_up(&enrolled.caller, StepUp::Password(Password::new(TestApp::PASSWORD))).await.unwrap();
        let caller = auth.authenticate(tokens.access.expose()).await.unwrap();
        assert!(matches!(auth.remove_totp(&caller, None).await, Err(AuthError::StepUpRequired)));
        assert!(matches!(auth.renew_recovery_codes(&caller, None).await, Err(AuthError::StepUpRequired)));
        assert!(matches!(auth.remove_totp(&enrolled.caller, Some("nonsense")).await, Err(AuthError::WrongCode)));
        assert!(login(&app, "ada").await.is_err(), "it is there still");
        let code = enrolled.recovery_codes[9].expose();
        auth.remove_totp(&enrolled.caller, Some(code)).await.unwrap();
        assert!(matches!(auth.remove_totp(&enrolled.caller, Some(code)).await, Err(AuthError::NoSecondFactor)));
        assert!(login(&app, "ada").await.is_ok());
    }

    async fn asvs_6_5_6_a_lost_app_is_replaced_and_the_old_codes_are_worth_nothing(app: TestApp) {
        let ada = app.register("ada").await;
        let old = enrol(&app, &ada).await;
        let auth = app.petspark.auth();
        assert!(matches!(auth.begin_totp(&old.caller).await, Err(AuthError::SecondFactorExists)));
        auth.remove_totp(&old.caller, None).await.unwrap();
        let renewed = auth.login("ada@example.org", Password::new(TestApp::PASSWORD), Client::default()).await.unwrap();
        let caller = auth.authenticate(renewed.tokens.access.expose()).await.unwrap();
        let new = enrol(&app, &TestUser { id: ada.id, signed_in: renewed, caller }).await;
        let token = challenge(&app, "ada").await;
        for code in [old.code(&app), old.recovery_codes[0].expose().to_owned()] {
            assert!(matches!(verify(&app, &token, &code).await, Err(AuthError::WrongCode)));
        }
        assert!(verify(&app, &token, &new.code(&app)).await.is_ok());
    }

    async fn new_recovery_codes_replace_the_old(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        let auth = app.petspark.auth();
        app.clock.advance(MINUTE * 11);
        let code = enrolled.code(&app);
        assert!(matches!(auth.renew_recovery_codes(&enrolled.caller, None).await, Err(AuthError::StepUpRequired)));
        let tokens = auth.step_up(&enrolled.caller, StepUp::Code(code)).await.unwrap();
        let caller = auth.authenticate(tokens.access.expose()).await.unwrap();
        let new = auth.renew_recovery_codes(&caller, None).await.unwrap();
        assert_eq!(new.len(), 10);
        let token = challenge(&app, "ada").await;
        assert!(matches!(verify(&app, &token, enrolled.recovery_codes[0].expose()).await, Err(AuthError::WrongCode)));
        assert!(verify(&app, &token, new[0].expose()).await.is_ok());
    }

    async fn asvs_7_5_1_a_factor_is_set_up_only_shortly_after_proving_oneself(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        app.clock.advance(MINUTE * 11);
        assert!(matches!(auth.begin_totp(&ada.caller).await, Err(AuthError::StepUpRequired)));
        let wrong = StepUp::Password(Password::new("not the password"));
        assert!(matches!(auth.step_up(&ada.caller, wrong).await, Err(AuthError::WrongPassword)));
        assert!(matches!(auth.step_up(&ada.caller, StepUp::Code("123456".into())).await, Err(AuthError::NoSecondFactor)));
        assert!(matches!(auth.begin_totp(&ada.caller).await, Err(AuthError::StepUpRequired)));
        let tokens = auth.step_up(&ada.caller, StepUp::Password(Password::new(TestApp::PASSWORD))).await.unwrap();
        let caller = auth.authenticate(tokens.access.expose()).await.unwrap();
        let secret = auth.begin_totp(&caller).await.unwrap().secret;
        assert!(auth.refresh(tokens.refresh.expose(), Origin::default()).await.is_ok());
        app.clock.advance(MINUTE * 16);
        let code = totp_code(&secret, app.clock.now());
        assert!(matches!(auth.confirm_totp(&caller, &code).await, Err(AuthError::NoSecondFactor)), "begun too long ago");
        assert!(login(&app, "ada").await.is_ok(), "what was never confirmed is not asked for");
    }

    async fn asvs_7_2_4_setting_a_factor_up_changes_the_refresh_token_and_ends_other_sessions(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let other = login(&app, "ada").await.unwrap();
        let secret = auth.begin_totp(&ada.caller).await.unwrap().secret;
        let code = totp_code(&secret, app.clock.now());
        let tokens = auth.confirm_totp(&ada.caller, &code).await.unwrap().tokens;
        let ended = auth.refresh(other.tokens.refresh.expose(), Origin::default()).await;
        assert!(matches!(ended, Err(AuthError::RefreshInvalid)));
        assert!(auth.authenticate(other.tokens.access.expose()).await.is_err());
        // A refresh that was on its way meanwhile is no theft, but gets nothing.
        let before = ada.signed_in.tokens.refresh.expose();
        let overtaken = auth.refresh(before, Origin::default()).await;
        assert!(matches!(overtaken, Err(AuthError::RefreshInvalid)));
        let next = auth.refresh(tokens.refresh.expose(), Origin::default()).await.unwrap();
        assert!(auth.authenticate(next.access.expose()).await.is_ok());
        app.clock.advance(Duration::from_secs(11));
        assert!(matches!(auth.refresh(before, Origin::default()).await, Err(AuthError::RefreshReused)));
        assert!(auth.authenticate(next.access.expose()).await.is_err());
    }

    async fn asvs_6_5_2_neither_the_secret_nor_the_codes_can_be_read_from_the_database(app: TestApp) {
        let ada = app.register("ada").await;
        let enrolled = enrol(&app, &ada).await;
        challenge(&app, "ada").await;
        let secret = hex(&base32(enrolled.secret.expose()));
        let mut stored = String::new();
        for (sqlite, postgres) in [
            ("SELECT hex(sealed_secret) || hex(id) FROM totp_factors", "SELECT t::text FROM totp_factors t"),
            ("SELECT hex(digest) FROM recovery_codes", "SELECT t::text FROM recovery_codes t"),
            ("SELECT hex(id) FROM second_factor_challenges", "SELECT t::text FROM second_factor_challenges t"),
            ("SELECT details FROM audit_log", "SELECT t::text FROM audit_log t"),
            ("SELECT payload FROM jobs", "SELECT t::text FROM jobs t"),
        ] {
            stored.extend(texts(&app, sqlite, postgres).await.into_iter().map(|row| row.to_lowercase() + "\n"));
        }
        assert!(stored.lines().count() >= 13, "{stored}");
        assert!(!stored.contains(&secret));
        assert!(!stored.contains(&enrolled.secret.expose().to_lowercase()));
        for code in &enrolled.recovery_codes {
            let plain = code.expose().replace('-', "");
            assert!(!stored.contains(code.expose()) && !stored.contains(&plain) && !stored.contains(&hex(plain.as_bytes())));
        }
    }

    async fn asvs_6_3_7_every_change_of_a_factor_is_told_by_mail_and_written_down(app: TestApp) {
        let ada = app.register("ada").await;
        let auth = app.petspark.auth();
        let enrolled = enrol(&app, &ada).await;
        let signed_in = verify(&app, &challenge(&app, "ada").await, enrolled.recovery_codes[0].expose()).await.unwrap();
        let caller = auth.authenticate(signed_in.tokens.access.expose()).await.unwrap();
        assert!(auth.remove_totp(&caller, Some("000")).await.is_err());
        auth.remove_totp(&caller, None).await.unwrap();
        let payloads = texts(&app, "SELECT payload FROM jobs", "SELECT payload::text FROM jobs").await.join("\n");
        for template in ["second-factor-added", "recovery-code-used", "second-factor-removed"] {
            assert_eq!(payloads.matches(&format!("\"{template}\"")).count(), 1, "{template} in {payloads}");
        }
        let actions = "SELECT action FROM audit_log ORDER BY at, id";
        let actions = texts(&app, actions, actions).await;
        for action in ["added", "fail", "removed"].map(|what| format!("authn_second_factor_{what}")) {
            assert_eq!(actions.iter().filter(|written| **written == action).count(), 1, "{action} in {actions:?}");
        }
        assert!(actions.contains(&"authn_recovery_code_used".to_owned()));
    }

    async fn asvs_6_3_3_a_role_that_needs_a_second_factor_is_worth_nothing_without(app: TestApp) {
        let mut settings = app.petspark.settings().clone();
        settings.auth.second_factor.required_for = SecondFactorFor::Moderator;
        let strict = PetSpark::open_with(settings, Migrate::Never, app.clock.clone()).await.unwrap();
        let auth = strict.auth();
        let ada = app.register("ada").await;
        auth.set_role(&Caller::operator("test"), ada.id, Role::Admin, false).await.unwrap();
        let signed_in = login(&app, "ada").await.unwrap();
        let caller = auth.authenticate(signed_in.tokens.access.expose()).await.unwrap();
        assert!(caller.has_role(Role::User) && !caller.has_role(Role::Moderator) && !caller.has_role(Role::Admin));
        assert!(matches!(auth.count_users(&caller).await, Err(AuthError::SecondFactorRequired)));
        assert!(auth.me(&caller).await.is_ok());
        // Where nobody asks for it, the same session has its role.
        let elsewhere = app.petspark.auth().authenticate(signed_in.tokens.access.expose()).await.unwrap();
        assert!(elsewhere.has_role(Role::Admin));
        let secret = auth.begin_totp(&caller).await.unwrap().secret;
        let code = totp_code(&secret, app.clock.now());
        let tokens = auth.confirm_totp(&caller, &code).await.unwrap().tokens;
        let caller = auth.authenticate(tokens.access.expose()).await.unwrap();
        assert!(caller.has_role(Role::Admin));
        assert_eq!(auth.count_users(&caller).await.unwrap(), 1);
        // The factor gone, the role is too, in the session that removed it as well.
        auth.remove_totp(&caller, None).await.unwrap();
        let caller = auth.authenticate(tokens.access.expose()).await.unwrap();
        assert!(matches!(auth.count_users(&caller).await, Err(AuthError::SecondFactorRequired)));
        strict.close().await;
    }

    async fn an_operator_resets_a_lost_factor_and_the_password_alone_signs_in_again(app: TestApp) {
        let (ada, bob) = (app.register("ada").await, app.register("bob").await);
        let auth = app.petspark.auth();
        let operator = Caller::operator("cli:test@host");
        let enrolled = enrol(&app, &ada).await;
        assert!(matches!(auth.reset_second_factor(&bob.caller, ada.id, "").await, Err(AuthError::Forbidden)));
        assert!(matches!(auth.factors(&bob.caller, ada.id).await, Err(AuthError::Forbidden)));
        let preview = auth.preview_reset_second_factor(&operator, ada.id, "lost").await.unwrap();
        assert_eq!((preview.removed, preview.sessions_ended), (true, 1));
        assert!(login(&app, "ada").await.is_err(), "a preview changes nothing");
        assert_eq!(auth.reset_second_factor(&operator, ada.id, "lost").await.unwrap(), preview);
        assert!(auth.authenticate(enrolled.tokens.access.expose()).await.is_err());
        assert!(login(&app, "ada").await.is_ok());
        assert!(!auth.reset_second_factor(&operator, ada.id, "lost").await.unwrap().removed);
        let nobody = "01980000-0000-7000-8000-000000000000".parse().unwrap();
        assert!(matches!(auth.reset_second_factor(&operator, nobody, "").await, Err(AuthError::UserNotFound)));
    }
}

/// The first column of every row.
async fn texts(app: &TestApp, sqlite: &'static str, postgres: &'static str) -> Vec<String> {
    match connect(app.petspark.settings()).await {
        Direct::Sqlite(mut direct) => {
            sqlx::query(sqlite).fetch_all(&mut direct).await.unwrap().iter().map(|row| row.get(0)).collect()
        }
        Direct::Postgres(mut direct) => {
            sqlx::query(postgres).fetch_all(&mut direct).await.unwrap().iter().map(|row| row.get(0)).collect()
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What RFC 4648 base 32 without padding stands for.
fn base32(text: &str) -> Vec<u8> {
    let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
    for letter in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter).unwrap();
        bits = bits << 5 | u32::try_from(value).unwrap();
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    bytes
}
