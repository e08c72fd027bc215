"""A client of openapi-python-client."""

import datetime
import json
import os
import time

import httpx
from api import AuthenticatedClient
from api.api.billing_runs import create_billing_run, get_billing_run
from api.api.customers import create_customer, list_customer_invoices, update_customer
from api.api.invoices import get_invoice
from api.api.meters import create_meter, delete_meter
from api.api.plans import create_plan
from api.api.subscriptions import create_subscription
from api.api.usage import get_customer_usage
from api.models.billing_run import BillingRun
from api.models.currency import Currency
from api.models.customer_patch import CustomerPatch
from api.models.customer_usage import CustomerUsage
from api.models.flat_price import FlatPrice
from api.models.graduated_price import GraduatedPrice
from api.models.invoice import Invoice
from api.models.invoice_head_page import InvoiceHeadPage
from api.models.metadata import Metadata
from api.models.meter import Meter
from api.models.metered_charge import MeteredCharge
from api.models.new_billing_run import NewBillingRun
from api.models.new_count_meter import NewCountMeter
from api.models.new_customer import NewCustomer
from api.models.new_flat_charge import NewFlatCharge
from api.models.new_graduated_price import NewGraduatedPrice
from api.models.new_metered_charge import NewMeteredCharge
from api.models.new_plan import NewPlan
from api.models.new_property_meter import NewPropertyMeter
from api.models.new_subscription import NewSubscription
from api.models.new_tier import NewTier
from api.models.numeric_aggregation import NumericAggregation
from api.models.problem import Problem
from api.models.subscription import Subscription
from api.models.written_customer import WrittenCustomer
from api.models.written_plan import WrittenPlan
from ingest import AuthenticatedClient as IngestClient
from ingest.api.events import create_events
from ingest.models.event import Event
from ingest.models.event_batch import EventBatch
from ingest.models.event_properties import EventProperties
from ingest.models.events_answer import EventsAnswer
from ingest.models.events_problem import EventsProblem
from ingest.models.receipt import Receipt

key = os.environ["MILLRACE_KEY"]
name = os.environ["MILLRACE_NAME"]
occurred_at = datetime.datetime.fromisoformat(os.environ["MILLRACE_OCCURRED_AT"])
month_start = datetime.datetime.fromisoformat(os.environ["MILLRACE_MONTH_START"])
code = f"tokens-{name}"

client = AuthenticatedClient(base_url=os.environ["MILLRACE_API"], token=key, timeout=httpx.Timeout(60))
gateway = IngestClient(base_url=os.environ["MILLRACE_INGEST"], token=key)


def event(number: int, tokens: int, what: str = f"llm.request.{name}") -> Event:
    properties = {"tokens": tokens, "model": "small", "cached": True, "ratio": 0.25}
    return Event(
        idempotency_key=f"{name}-{number}",
        event=what,
        customer_id=name,
        timestamp=occurred_at,
        properties=EventProperties.from_dict({**properties, "tags": ["a", 1, None], "nested": {"deep": False}, "nothing": None}),
    )


def problem_of(answer: object) -> Problem:
    assert isinstance(answer, Problem), answer
    return answer


new_meter = NewPropertyMeter(
    code=code, name="Tokens", event=f"llm.request.{name}", aggregation=NumericAggregation.SUM, property_="tokens"
)
meter = create_meter.sync(client=client, body=new_meter)
assert isinstance(meter, Meter), meter

price = NewGraduatedPrice(
    model="graduated",
    tiers=[NewTier(up_to="1000", unit_amount="0.01"), NewTier(up_to=None, unit_amount="0.005")],
)
new_plan = NewPlan(
    code=name,
    name="Starter",
    currency=Currency.USD,
    charges=[
        NewFlatCharge(code="base", name="Base fee", price=FlatPrice(model="flat", amount="9.00")),
        NewMeteredCharge(code="tokens", name="Tokens", meter=meter.code, price=price),
    ],
)
plan = create_plan.sync(client=client, body=new_plan)
assert isinstance(plan, WrittenPlan), plan
tiers = [
    tier.up_to
    for charge in plan.charges
    if isinstance(charge, MeteredCharge) and isinstance(charge.price, GraduatedPrice)
    for tier in charge.price.tiers
]

new_customer = NewCustomer(external_id=name, name="Acme Inc.", metadata=Metadata.from_dict({"contract": "2026-117"}))
made = create_customer.sync_detailed(client=client, body=new_customer, idempotency_key=name)
customer = made.parsed
assert isinstance(customer, WrittenCustomer), customer
again = problem_of(create_customer.sync(client=client, body=new_customer))
new_subscription = NewSubscription(customer_id=name, plan=plan.code, started_at=month_start)
assert isinstance(create_subscription.sync(client=client, body=new_subscription), Subscription)

single = create_events.sync(client=gateway, body=event(1, 700), receipt=True)
assert isinstance(single, EventsAnswer), single
assert isinstance(single.receipt, Receipt)
batch = create_events.sync(client=gateway, body=EventBatch(events=[event(1, 700), event(2, 800), event(3, 500)]))
assert isinstance(batch, EventsAnswer), batch
rejected = create_events.sync(client=gateway, body=event(4, 1, ""))
assert isinstance(rejected, EventsProblem), rejected

quantity = None
for _ in range(200):
    usage = get_customer_usage.sync(name, client=client, from_=month_start)
    assert isinstance(usage, CustomerUsage), usage
    quantity = next((item.quantity for item in usage.items if item.meter == code), None)
    if quantity == "2000":
        break
    time.sleep(0.1)

asked = create_billing_run.sync(client=client, body=NewBillingRun(period=os.environ["MILLRACE_MONTH"], customer_id=name))
assert isinstance(asked, BillingRun), asked
run = get_billing_run.sync(asked.id, client=client, wait_seconds=25)
assert isinstance(run, BillingRun), run
page = list_customer_invoices.sync(name, client=client, limit=1)
assert isinstance(page, InvoiceHeadPage), page
invoice = get_invoice.sync(page.items[0].id, client=client)
assert isinstance(invoice, Invoice), invoice

patch = CustomerPatch(email="billing@acme.example")
stale = problem_of(update_customer.sync(name, client=client, body=patch, if_match='"7"'))
missing = problem_of(get_invoice.sync(f"inv_{'0' * 32}", client=client))
unused = create_meter.sync(
    client=client,
    body=NewCountMeter(code=f"unused-{name}", name="Unused", event="nothing", aggregation="count"),
)
assert isinstance(unused, Meter), unused
deleted = delete_meter.sync_detailed(unused.id, client=client)

print(
    json.dumps(
        {
            "location": made.headers["location"] == f"/v1/customers/{customer.id}",
            "contract": customer.metadata["contract"],
            "tiers": tiers,
            "again": again.error_code,
            "single": [single.accepted, single.receipt.accepted],
            "batch": [batch.accepted, batch.duplicates],
            "rejected": rejected.results[0].errors[0].field,
            "usage": quantity,
            "run": [run.state, run.invoices_issued],
            "total": invoice.total,
            "lines": [[line.amount, *(f"{step.kind} {step.units}" for step in line.steps)] for line in invoice.lines],
            "stale": stale.error_code,
            "missing": [missing.status, missing.error_code],
            "deleted": deleted.status_code,
        }
    )
)
