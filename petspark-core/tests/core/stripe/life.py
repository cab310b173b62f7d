"""The life of a paying user, as Stripe's own library sees it.

Run by the test beside it with the address, the key and the secret of webhooks. What no call can do
it asks for on standard output, one request a line, and reads the answer: `advance SECONDS`,
`complete SESSION CARD`, `authenticate INTENT`, `take`.
"""

import json
import sys

import stripe

address, key, secret = sys.argv[1:]
client = stripe.StripeClient(key, base_addresses={"api": address}, max_network_retries=0)
DAY = 24 * 3600


def ask(*request):
    print(*request, flush=True)
    return json.loads(sys.stdin.readline())


def refused(kind, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except kind as error:
        return error
    raise AssertionError(f"{call} was not refused")


def catalogue():
    product = client.v1.products.create({"name": "Premium", "marketing_features": [{"name": "Many photos"}]})
    recurring = {"interval": "month"}
    new = {"currency": "eur", "unit_amount": 900, "recurring": recurring, "product": product.id}
    month = client.v1.prices.create({**new, "lookup_key": "premium_month"})
    more = client.v1.prices.create({**new, "unit_amount": 1900})
    badge = client.v1.prices.create({"currency": "jpy", "unit_amount": 500, "product_data": {"name": "Badge"}})
    assert month.recurring.interval == "month" and badge.type == "one_time"
    found = client.v1.prices.list({"lookup_keys": ["premium_month"], "expand": ["data.product"]})
    assert found.data[0].product.name == "Premium"
    client.v1.prices.update(badge.id, {"metadata": {"a": "1", "b": "2"}})
    assert client.v1.prices.update(badge.id, {"metadata": {"a": ""}}).metadata.to_dict() == {"b": "2"}
    client.v1.products.update(product.id, {"active": False})
    assert client.v1.products.list({"active": False}).data[0].id == product.id
    client.v1.products.update(product.id, {"active": True})
    return month, more, badge


def customers():
    options = {"idempotency_key": "cust:1"}
    new = {"email": "ada@example.org", "metadata": {"user": "1"}}
    ada = client.v1.customers.create(new, options)
    again = client.v1.customers.create(new, options)
    assert again.id == ada.id and again.last_response.headers["idempotent-replayed"] == "true"
    refused(stripe.IdempotencyError, client.v1.customers.create, {"email": "other@example.org"}, options)
    assert client.v1.customers.update(ada.id, {"name": "Ada"}).name == "Ada"
    for number in range(12):
        client.v1.customers.create({"email": f"{number}@example.org"})
    pages = client.v1.customers.list({"limit": 5})
    assert pages.has_more and len(list(pages.auto_paging_iter())) == 13
    assert client.v1.customers.list({"email": "ada@example.org"}).data[0].id == ada.id
    last = client.v1.customers.list({"limit": 1}).data[0]
    assert client.v1.customers.delete(last.id).deleted
    assert client.v1.customers.retrieve(last.id).deleted
    error = refused(stripe.InvalidRequestError, client.v1.customers.retrieve, "cus_nobody")
    assert error.http_status == 404 and error.code == "resource_missing"
    error = refused(stripe.InvalidRequestError, client.v1.customers.create, {"emial": "a@example.org"})
    assert error.code == "parameter_unknown" and error.param == "emial"
    stranger = stripe.StripeClient("sk_test_other", base_addresses={"api": address})
    refused(stripe.AuthenticationError, stranger.v1.balance.retrieve)
    return ada


def payments(ada):
    new = {"amount": 500, "currency": "jpy", "customer": ada.id, "automatic_payment_methods": {"enabled": True}}
    intent = client.v1.payment_intents.create(new)
    assert intent.status == "requires_payment_method" and intent.client_secret
    confirm = client.v1.payment_intents.confirm
    error = refused(stripe.CardError, confirm, intent.id, {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"})
    assert error.code == "card_declined" and error.error.decline_code == "insufficient_funds"
    assert client.v1.payment_intents.retrieve(intent.id).last_payment_error.decline_code == "insufficient_funds"
    paid = confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert paid.status == "succeeded" and paid.amount_received == 500
    charge = client.v1.charges.retrieve(paid.latest_charge)
    assert charge.paid and charge.payment_method_details.card.last4 == "4242"

    careful = client.v1.payment_intents.create({**new, "confirm": True, "payment_method": "pm_card_authenticationRequired"})
    assert careful.status == "requires_action" and careful.next_action.redirect_to_url.url
    ask("authenticate", careful.id)
    assert client.v1.payment_intents.retrieve(careful.id).status == "succeeded"
    refused(stripe.InvalidRequestError, client.v1.payment_intents.cancel, careful.id)
    unwanted = client.v1.payment_intents.create(new)
    assert client.v1.payment_intents.cancel(unwanted.id).status == "canceled"
    refused(stripe.InvalidRequestError, client.v1.payment_intents.create, {**new, "amount": -1})

    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 200})
    assert refund.status == "succeeded" and refund.charge == charge.id
    refused(stripe.InvalidRequestError, client.v1.refunds.create, {"payment_intent": intent.id, "amount": 301})
    client.v1.refunds.create({"charge": charge.id})
    charge = client.v1.charges.retrieve(charge.id)
    assert charge.refunded and charge.amount_refunded == 500
    error = refused(stripe.InvalidRequestError, client.v1.refunds.create, {"charge": charge.id})
    assert error.code == "charge_already_refunded"


def subscription(ada, month, more):
    expand = ["latest_invoice.confirmation_secret", "latest_invoice.payments"]
    new = {"customer": ada.id, "items": [{"price": month.id}], "payment_behavior": "default_incomplete",
           "payment_settings": {"save_default_payment_method": "on_subscription"}, "expand": expand}
    made = client.v1.subscriptions.create(new)
    assert made.status == "incomplete"
    secret = made.latest_invoice.confirmation_secret.client_secret
    intent = made.latest_invoice.payments.data[0].payment.payment_intent
    assert secret.startswith(intent)
    assert "confirmation_secret" not in client.v1.invoices.retrieve(made.latest_invoice.id)
    confirm = client.v1.payment_intents.confirm
    refused(stripe.CardError, confirm, intent, {"payment_method": "pm_card_chargeDeclined"})
    assert client.v1.subscriptions.retrieve(made.id).status == "incomplete"
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": ada.id})
    confirm(intent, {"payment_method": card.id})
    active = client.v1.subscriptions.retrieve(made.id)
    assert active.status == "active" and active.default_payment_method == card.id
    item = active["items"].data[0]
    assert item.price.id == month.id and item.current_period_end > item.current_period_start

    ask("advance", 32 * DAY)
    renewed = client.v1.subscriptions.retrieve(made.id)["items"].data[0]
    assert renewed.current_period_start == item.current_period_end
    invoices = client.v1.invoices.list({"subscription": made.id})
    assert [one.status for one in invoices.data] == ["paid", "paid"]
    assert invoices.data[0].billing_reason == "subscription_cycle"

    swapped = client.v1.subscriptions.update(made.id, {
        "items": [{"id": item.id, "price": more.id}], "proration_behavior": "always_invoice"})
    assert swapped["items"].data[0].price.id == more.id
    proration = client.v1.invoices.retrieve(swapped.latest_invoice)
    assert proration.status == "paid" and proration.lines.data[0].amount < 0 < proration.total < 1000

    failing = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": ada.id})
    client.v1.subscriptions.update(made.id, {"default_payment_method": failing.id})
    ask("advance", 31 * DAY)
    late = client.v1.subscriptions.retrieve(made.id)
    assert late.status == "past_due", late.status
    open = client.v1.invoices.retrieve(late.latest_invoice)
    assert open.status == "open" and open.next_payment_attempt
    refused(stripe.CardError, client.v1.invoices.pay, open.id)
    assert client.v1.invoices.pay(open.id, {"payment_method": card.id}).status == "paid"
    assert client.v1.subscriptions.retrieve(made.id).status == "active"
    client.v1.subscriptions.update(made.id, {"default_payment_method": card.id})

    ending = client.v1.subscriptions.update(made.id, {"cancel_at_period_end": True})
    assert ending.cancel_at == ending["items"].data[0].current_period_end
    assert client.v1.subscriptions.update(made.id, {"cancel_at_period_end": False}).cancel_at is None
    pause = {"behavior": "void"}
    assert client.v1.subscriptions.update(made.id, {"pause_collection": pause}).pause_collection.behavior == "void"
    assert client.v1.subscriptions.update(made.id, {"pause_collection": ""}).pause_collection is None
    gone = client.v1.subscriptions.cancel(made.id)
    assert gone.status == "canceled" and gone.ended_at
    refused(stripe.InvalidRequestError, client.v1.subscriptions.cancel, made.id)
    assert client.v1.subscriptions.list({"customer": ada.id}).data == []
    assert client.v1.subscriptions.list({"customer": ada.id, "status": "all"}).data[0].id == made.id


def trial(month):
    bea = client.v1.customers.create({"email": "bea@example.org", "payment_method": "pm_card_visa",
                                      "invoice_settings": {"default_payment_method": "pm_card_visa"}})
    made = client.v1.subscriptions.create({
        "customer": bea.id, "items": [{"price": month.id, "quantity": 2}], "trial_period_days": 7})
    assert made.status == "trialing" and made.trial_end - made.trial_start == 7 * DAY
    ask("advance", 7 * DAY + 3700)
    begun = client.v1.subscriptions.retrieve(made.id, {"expand": ["latest_invoice"]})
    assert begun.status == "active" and begun.latest_invoice.total == 1800


def checkout(ada, month, badge):
    new = {"mode": "subscription", "line_items": [{"price": month.id, "quantity": 1}], "customer": ada.id,
           "client_reference_id": "user-1", "success_url": "https://pets.example.org/thanks",
           "cancel_url": "https://pets.example.org/", "subscription_data": {"metadata": {"user": "1"}}}
    session = client.v1.checkout.sessions.create(new)
    assert session.url and session.status == "open" and session.payment_status == "unpaid"
    ask("complete", session.id, "pm_card_visa")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["subscription", "line_items"]})
    assert done.status == "complete" and done.payment_status == "paid" and done.url is None
    assert done.subscription.status == "active" and done.subscription.metadata["user"] == "1"
    assert done.line_items.data[0].price.id == month.id
    once = {"mode": "payment", "line_items": [{"price": badge.id, "quantity": 2}], "customer_email": "c@example.org",
            "success_url": "https://pets.example.org/thanks"}
    session = client.v1.checkout.sessions.create(once)
    ask("complete", session.id, "pm_card_visa")
    done = client.v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    assert done.payment_intent.amount == 1000 and done.customer
    late = client.v1.checkout.sessions.create(once)
    ask("advance", DAY)
    assert client.v1.checkout.sessions.retrieve(late.id).status == "expired"
    refused(stripe.InvalidRequestError, client.v1.checkout.sessions.create, {**once, "line_items": [{"price": "price_no", "quantity": 1}]})
    portal = client.v1.billing_portal.sessions.create({"customer": ada.id, "return_url": "https://pets.example.org/"})
    assert portal.url


def webhooks(ada):
    endpoint = client.v1.webhook_endpoints.create({
        "url": "https://pets.example.org/hook", "enabled_events": ["customer.*"], "api_version": "2026-09-30.endive"})
    assert endpoint.secret.startswith("whsec_")
    assert "secret" not in client.v1.webhook_endpoints.list().data[0]
    assert client.v1.webhook_endpoints.update(endpoint.id, {"disabled": True}).status == "disabled"
    assert client.v1.webhook_endpoints.delete(endpoint.id).deleted
    deliveries = ask("take")
    kinds = [one["kind"] for one in deliveries]
    for kind in ["customer.created", "customer.updated", "customer.deleted", "product.updated", "price.created",
                 "payment_intent.succeeded", "payment_intent.payment_failed", "payment_intent.requires_action",
                 "payment_intent.canceled", "charge.refunded", "checkout.session.completed", "checkout.session.expired",
                 "customer.subscription.created", "customer.subscription.updated", "customer.subscription.deleted",
                 "customer.subscription.trial_will_end", "invoice.paid", "invoice.payment_failed"]:
        assert kind in kinds, kind
    tolerance = 10**9  # The test's clock isn't the system's.
    for one in deliveries:
        event = stripe.Webhook.construct_event(one["body"], one["signature"], secret, tolerance)
        assert event.type == one["kind"] and event.api_version == "2026-09-30.endive"
    one = deliveries[0]
    refused(stripe.SignatureVerificationError, stripe.Webhook.construct_event, one["body"] + " ", one["signature"], secret, tolerance)
    refused(stripe.SignatureVerificationError, stripe.Webhook.construct_event, one["body"], one["signature"], "whsec_other", tolerance)
    events = client.v1.events.list({"limit": 100, "types": ["customer.updated"], "delivery_success": False})
    named = [one for one in events.auto_paging_iter() if one.data.object.id == ada.id and "name" in one.data.previous_attributes]
    assert len(named) == 0 or named[0].data.object.name == "Ada"
    assert client.v1.events.retrieve(events.data[0].id).type == "customer.updated"


account = client.v1.accounts.retrieve_current()
assert account.charges_enabled
month, more, badge = catalogue()
ada = customers()
payments(ada)
subscription(ada, month, more)
trial(month)
checkout(ada, month, badge)
webhooks(ada)
