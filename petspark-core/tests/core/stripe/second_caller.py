"""What a caller sees of customers, payment methods and refunds, told line by line.

Run by the test beside it with an address and a key, once for our Stripe and once for localstripe, which others
wrote: both must tell the same.
"""

import sys

import stripe

address, key = sys.argv[1:]
client = stripe.StripeClient(key, base_addresses={"api": address}, max_network_retries=0)


def tell(what, *seen):
    print(what, *seen)


def refused(what, call, *arguments):
    try:
        call(*arguments)
        tell(what, "went through")
    except stripe.StripeError as error:
        tell(what, error.http_status, type(error).__name__)


ada = client.v1.customers.create({"email": "ada@example.org", "name": "Ada", "metadata": {"user": "1"}})
tell("a new customer", ada.object, ada.email, ada.name, ada.metadata.to_dict(), ada.livemode)
changed = client.v1.customers.update(ada.id, {"email": "ada.l@example.org"})
tell("another address", changed.id == ada.id, changed.email, changed.name)
tell("read again", client.v1.customers.retrieve(ada.id).email)
bob = client.v1.customers.create({"email": "bob@example.org"})
listed = client.v1.customers.list({"limit": 10})
tell("a list", sorted(one.email for one in listed.data), listed.has_more)
refused("nobody", client.v1.customers.retrieve, "cus_nobody")

card = client.v1.payment_methods.attach("pm_card_visa", {"customer": ada.id})
tell("a card", card.object, card.type, card.card.brand, card.card.last4, card.customer == ada.id)
tell("read again", client.v1.payment_methods.retrieve(card.id).customer == ada.id)
kept = client.v1.payment_methods.list({"customer": ada.id, "type": "card"})
tell("cards of hers", [one.id == card.id for one in kept.data])
tell("not kept any more", client.v1.payment_methods.detach(card.id).customer)
tell("none left", len(client.v1.payment_methods.list({"customer": ada.id, "type": "card"}).data))
bad = client.v1.payment_methods.attach("pm_card_chargeCustomerFail", {"customer": ada.id})
tell("a card that pays nothing", bad.card.last4, bad.customer == ada.id)


def intent(card):
    new = {"amount": 500, "currency": "eur", "customer": ada.id, "payment_method": card}
    return client.v1.payment_intents.create(new)


card = client.v1.payment_methods.attach("pm_card_visa", {"customer": ada.id}).id
begun = intent(card)
tell("begun", begun.status, begun.amount, begun.currency)
paid = client.v1.payment_intents.confirm(begun.id)
tell("paid", paid.status, paid.id == begun.id)
refused("not paid", client.v1.payment_intents.confirm, intent(bad.id).id)

part = client.v1.refunds.create({"payment_intent": paid.id, "amount": 200, "metadata": {"why": "x"}})
tell("a part back", part.object, part.status, part.amount, part.currency, part.metadata.to_dict())
tell("read again", client.v1.refunds.retrieve(part.id).amount)
charge = client.v1.charges.retrieve(part.charge)
tell("of the charge", charge.amount, charge.amount_refunded, charge.refunded, charge.payment_intent == paid.id)
whole = client.v1.payment_intents.confirm(intent(card).id)
back = client.v1.refunds.create({"payment_intent": whole.id})
charge = client.v1.charges.retrieve(back.charge)
tell("all back", back.status, back.amount, charge.amount_refunded, charge.refunded)
listed = client.v1.refunds.list({"payment_intent": paid.id})
tell("refunds of one payment", [one.amount for one in listed.data])
tell("gone", client.v1.customers.delete(bob.id).deleted)
