// A client of oapi-codegen.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"clients/api"
	"clients/ingest"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// The body of a success, or the end with what came instead.
func body[T any](value *T, raw []byte) T {
	if value == nil {
		panic("refused: " + string(raw))
	}
	return *value
}

func told(name string) string {
	value := os.Getenv(name)
	if value == "" {
		panic(name + " is not set")
	}
	return value
}

func ptr[T any](value T) *T { return &value }

func withKey(_ context.Context, request *http.Request) error {
	request.Header.Set("Authorization", "Bearer "+told("MILLRACE_KEY"))
	return nil
}

var (
	name       = told("MILLRACE_NAME")
	occurredAt = must(time.Parse(time.RFC3339, told("MILLRACE_OCCURRED_AT")))
	monthStart = must(time.Parse(time.RFC3339, told("MILLRACE_MONTH_START")))
)

func event(number int, tokens int) ingest.Event {
	return ingest.Event{
		IdempotencyKey: fmt.Sprintf("%s-%d", name, number),
		Event:          "llm.request." + name,
		CustomerId:     name,
		Timestamp:      ptr(occurredAt),
		Properties: &ingest.EventProperties{
			"tokens": tokens, "model": "small", "cached": true, "ratio": 0.25,
			"tags": []any{"a", 1, nil}, "nested": map[string]any{"deep": false}, "nothing": nil,
		},
	}
}

func newPlan(meter string) api.NewPlan {
	var price api.NewMeteredPrice
	graduated := api.NewGraduatedPrice{Tiers: []api.NewTier{
		{UpTo: ptr("1000"), UnitAmount: "0.01"},
		{UpTo: nil, UnitAmount: "0.005"},
	}}
	if err := price.FromNewGraduatedPrice(graduated); err != nil {
		panic(err)
	}
	charges := make([]api.NewCharge, 2)
	base := api.NewFlatCharge{Code: "base", Name: "Base fee", Price: api.FlatPrice{Model: api.FlatPriceModelFlat, Amount: "9.00"}}
	if err := charges[0].FromNewFlatCharge(base); err != nil {
		panic(err)
	}
	if err := charges[1].FromNewMeteredCharge(api.NewMeteredCharge{Code: "tokens", Name: "Tokens", Meter: meter, Price: price}); err != nil {
		panic(err)
	}
	return api.NewPlan{Code: name, Name: "Starter", Currency: api.CurrencyUSD, Charges: charges}
}

func tiersOf(plan api.WrittenPlan) []any {
	tiers := []any{}
	for _, charge := range plan.Charges {
		metered, err := charge.AsMeteredCharge()
		if err != nil || metered.Meter == "" {
			continue
		}
		price, ok := must(metered.Price.ValueByDiscriminator()).(api.GraduatedPrice)
		if !ok {
			continue
		}
		for _, tier := range price.Tiers {
			tiers = append(tiers, tier.UpTo)
		}
	}
	return tiers
}

func countMeter(code string) api.NewMeter {
	var meter api.NewMeter
	fields := api.NewCountMeter{Code: code, Name: "Unused", Event: "nothing", Aggregation: api.NewCountMeterAggregationCount}
	if err := meter.FromNewCountMeter(fields); err != nil {
		panic(err)
	}
	return meter
}

func sumMeter(code string) api.NewMeter {
	var meter api.NewMeter
	fields := api.NewPropertyMeter{
		Code: code, Name: "Tokens", Event: "llm.request." + name,
		Aggregation: api.NumericAggregationSum, Property: "tokens",
	}
	if err := meter.FromNewPropertyMeter(fields); err != nil {
		panic(err)
	}
	return meter
}

func main() {
	ctx := context.Background()
	client := must(api.NewClientWithResponses(told("MILLRACE_API"), api.WithRequestEditorFn(withKey)))
	gateway := must(ingest.NewClientWithResponses(told("MILLRACE_INGEST"), ingest.WithRequestEditorFn(withKey)))
	found := map[string]any{}
	code := "tokens-" + name

	createdMeter := must(client.CreateMeterWithResponse(ctx, nil, sumMeter(code)))
	meter := body(createdMeter.JSON201, createdMeter.Body)
	createdPlan := must(client.CreatePlanWithResponse(ctx, nil, newPlan(meter.Code)))
	plan := body(createdPlan.JSON201, createdPlan.Body)
	found["tiers"] = tiersOf(plan)

	newCustomer := api.NewCustomer{ExternalId: name, Name: "Acme Inc.", Metadata: &api.Metadata{"contract": "2026-117"}}
	made := must(client.CreateCustomerWithResponse(ctx, &api.CreateCustomerParams{IdempotencyKey: ptr(name)}, newCustomer))
	customer := body(made.JSON201, made.Body)
	found["location"] = made.HTTPResponse.Header.Get("Location") == "/v1/customers/"+customer.Id
	found["contract"] = customer.Metadata["contract"]
	again := must(client.CreateCustomerWithResponse(ctx, nil, newCustomer))
	found["again"] = body(again.ApplicationproblemJSON409, again.Body).ErrorCode
	subscribed := must(client.CreateSubscriptionWithResponse(ctx, nil, api.NewSubscription{
		CustomerId: name, Plan: plan.Code, StartedAt: ptr(monthStart),
	}))
	body(subscribed.JSON201, subscribed.Body)

	var one, several, bad ingest.NewEvents
	if err := one.FromEvent(event(1, 700)); err != nil {
		panic(err)
	}
	if err := several.FromEventBatch(ingest.EventBatch{Events: []ingest.Event{event(1, 700), event(2, 800), event(3, 500)}}); err != nil {
		panic(err)
	}
	nameless := event(4, 1)
	nameless.Event = ""
	if err := bad.FromEvent(nameless); err != nil {
		panic(err)
	}
	sent := must(gateway.CreateEventsWithResponse(ctx, &ingest.CreateEventsParams{Receipt: ptr(true)}, one))
	single := body(sent.JSON200, sent.Body)
	found["single"] = []int{single.Accepted, single.Receipt.Accepted}
	sent = must(gateway.CreateEventsWithResponse(ctx, nil, several))
	batch := body(sent.JSON200, sent.Body)
	found["batch"] = []int{batch.Accepted, batch.Duplicates}
	sent = must(gateway.CreateEventsWithResponse(ctx, nil, bad))
	var rejected ingest.EventsProblem
	if sent.StatusCode() != http.StatusUnprocessableEntity {
		panic("an event without a name was taken")
	}
	if err := json.Unmarshal(sent.Body, &rejected); err != nil {
		panic(err)
	}
	found["rejected"] = rejected.Results[0].Errors[0].Field

	for range 200 {
		read := must(client.GetCustomerUsageWithResponse(ctx, name, &api.GetCustomerUsageParams{From: ptr(monthStart)}))
		for _, item := range body(read.JSON200, read.Body).Items {
			if item.Meter == code {
				found["usage"] = item.Quantity
			}
		}
		if found["usage"] == "2000" {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}

	asked := must(client.CreateBillingRunWithResponse(ctx, nil, api.NewBillingRun{Period: ptr(told("MILLRACE_MONTH")), CustomerId: ptr(name)}))
	waited := must(client.GetBillingRunWithResponse(ctx, body(asked.JSON202, asked.Body).Id, &api.GetBillingRunParams{WaitSeconds: ptr(25)}))
	run := body(waited.JSON200, waited.Body)
	found["run"] = []any{run.State, run.InvoicesIssued}
	listed := must(client.ListCustomerInvoicesWithResponse(ctx, name, &api.ListCustomerInvoicesParams{Limit: ptr(1)}))
	page := body(listed.JSON200, listed.Body)
	read := must(client.GetInvoiceWithResponse(ctx, page.Items[0].Id, nil))
	invoice := body(read.JSON200, read.Body)
	found["total"] = invoice.Total
	lines := [][]string{}
	for _, line := range invoice.Lines {
		shown := []string{line.Amount}
		for _, step := range line.Steps {
			shown = append(shown, fmt.Sprintf("%s %s", step.Kind, step.Units))
		}
		lines = append(lines, shown)
	}
	found["lines"] = lines

	patch := api.CustomerPatch{Email: ptr("billing@acme.example")}
	stale := must(client.UpdateCustomerWithResponse(ctx, name, &api.UpdateCustomerParams{IfMatch: ptr(`"7"`)}, patch))
	found["stale"] = body(stale.ApplicationproblemJSON412, stale.Body).ErrorCode
	missing := must(client.GetInvoiceWithResponse(ctx, "inv_"+strings.Repeat("0", 32), nil))
	problem := body(missing.ApplicationproblemJSON404, missing.Body)
	found["missing"] = []any{problem.Status, problem.ErrorCode}
	unused := must(client.CreateMeterWithResponse(ctx, nil, countMeter("unused-"+name)))
	deleted := must(client.DeleteMeterWithResponse(ctx, body(unused.JSON201, unused.Body).Id, nil))
	found["deleted"] = deleted.StatusCode()

	fmt.Println(string(must(json.Marshal(found))))
}
