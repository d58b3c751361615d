package smartbots_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/registry"
)

const (
	urlA = "https://hooks.example.com/a"
	urlB = "https://other.example.com/b"
)

// bubble runs a test in a bubble with a fresh world.
func bubble(t *testing.T, test func(*testing.T, *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newWorld(t, nil)) })
}

func wantList(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.mustRegister(t, "app_uuid", strings.ToUpper(demoUUID), "url", "HTTPS://Hooks.Example.com")
		got := w.subscriptions(t)[0]
		want := demoSubscription()
		want.ID, want.Label, want.URL = got.ID, "Demo App", "https://hooks.example.com/"
		want.Meta["group_name"] = "My Group Name"
		want.Since, want.CreatedAt, want.Revision = got.Since, got.CreatedAt, 1
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(registry.Secret{})); diff != "" {
			t.Error(diff)
		}
		stop := w.run(t)
		synctest.Wait()
		w.chat(t, "hello")
		synctest.Wait()
		stop()
		wantList(t, "deliveries", w.deliveries(t), "callback_set delivered", "group_chat delivered")
		if len(w.posts) != 2 || w.posts[0].form().Get("url") != want.URL || w.posts[1].form().Get("message") != "hello" {
			t.Errorf("%+v", w.posts)
		}
	})
}

// TestReplacement: the second call keeps the ID, and its callback_set goes out
// before what waited for the old URL, which gets nothing more.
func TestReplacement(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.mustRegister(t, "url", urlA)
		id := w.subscriptions(t)[0].ID
		w.chat(t, "1")
		w.chat(t, "2")
		w.mustRegister(t, "url", urlB, "app_name", "New Name")
		subs := w.subscriptions(t)
		if len(subs) != 1 || subs[0].ID != id || subs[0].Label != "New Name" || subs[0].URL != urlB {
			t.Fatalf("%+v", subs)
		}
		w.answers(http.StatusInternalServerError) // the others wait for the attempt, not for success
		stop := w.run(t)
		synctest.Wait()
		wantList(t, "first attempts", w.sent(), "callback_set "+urlB, "group_chat "+urlB, "group_chat "+urlB)
		w.answers(0)
		time.Sleep(2 * time.Second)
		stop()
		wantList(t, "deliveries", w.deliveries(t),
			"callback_set dead superseded by a newer registration", "group_chat delivered", "group_chat delivered", "callback_set delivered")
	})
}

// TestSchedule: an endpoint that never accepts gets ten attempts.
func TestSchedule(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.answers(http.StatusInternalServerError)
		stop := w.run(t)
		w.mustRegister(t)
		time.Sleep(48 * time.Hour)
		stop()
		pauses := delivery.Standard().Pauses
		if len(w.posts) != len(pauses)+1 {
			t.Fatalf("%d attempts", len(w.posts))
		}
		for i, want := range pauses {
			got := w.posts[i+1].at.Sub(w.posts[i].at)
			if got < want*89/100 || got > want*111/100+time.Second {
				t.Errorf("pause %d: %v, want %v ±10 %%", i+1, got, want)
			}
			if w.posts[i+1].id != w.posts[0].id || w.posts[i+1].body != w.posts[0].body {
				t.Errorf("attempt %d has another id or body", i+2)
			}
		}
		wantList(t, "deliveries", w.deliveries(t), "callback_set dead answered 500")
	})
}

// TestOtherDeveloper: the same app_uuid of another developer is another
// registration, and both get the group's events.
func TestOtherDeveloper(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.mustRegister(t, "url", urlA)
		w.mustRegister(t, "url", urlB, "apikey", "OTHER-APIKEY")
		w.mustRegister(t, "group", "Tea Club", "secret", "TEA")
		w.chat(t, "hello")
		stop := w.run(t)
		synctest.Wait()
		stop()
		got := w.sent()
		slices.Sort(got)
		wantList(t, "posts", got, "callback_set "+urlA, "callback_set https://hooks.example.com/cb", "callback_set "+urlB, "group_chat "+urlA, "group_chat "+urlB)
	})
}

// TestCodeChanged: all callbacks of the group end, with what waits for them,
// and each URL is told.
func TestCodeChanged(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.mustRegister(t, "url", urlA)
		w.mustRegister(t, "url", urlB, "apikey", "OTHER-APIKEY")
		w.mustRegister(t, "group", "Tea Club", "secret", "TEA")
		w.chat(t, "1")
		if n, err := smartbots.CodeChanged(t.Context(), w.engine, w.groups, "my-group"); n != 0 || err != nil {
			t.Errorf("nothing changed: %d, %v", n, err)
		}
		w.groups.setCode("my-group", "NEW-CODE")
		if n, err := smartbots.CodeChanged(t.Context(), w.engine, w.groups, "my-group"); n != 2 || err != nil {
			t.Errorf("%d removed, %v", n, err)
		}
		if n, err := smartbots.CodeChanged(t.Context(), w.engine, w.groups, "my-group"); n != 0 || err != nil {
			t.Errorf("again: %d, %v", n, err)
		}
		if n, err := smartbots.CodeChanged(t.Context(), w.engine, w.groups, ""); n != 0 || err != nil {
			t.Errorf("no group: %d, %v", n, err)
		}
		w.chat(t, "2")
		if got := w.register(t); got.body != failReply("ACCESS DENIED") {
			t.Errorf("with the old code: %s", got.body)
		}
		stop := w.run(t)
		synctest.Wait()
		got := w.sent()
		slices.Sort(got)
		wantList(t, "posts", got, "callback_removed "+urlA, "callback_removed "+urlB, "callback_set https://hooks.example.com/cb")
		if subs := w.subscriptions(t); len(subs) != 1 || subs[0].Scope != "tea-club" {
			t.Errorf("left: %+v", subs)
		}
		w.mustRegister(t, "url", urlA, "secret", "NEW-CODE")
		synctest.Wait()
		stop()
		wantList(t, "posts", w.sent(), "callback_set "+urlA)
		states := w.deliveries(t)
		slices.Sort(states)
		wantList(t, "deliveries", states,
			"callback_removed delivered", "callback_removed delivered",
			"callback_set dead registration removed", "callback_set dead registration removed", "callback_set delivered", "callback_set delivered",
			"group_chat dead registration removed", "group_chat dead registration removed")
	})
}

// TestCodeChangedUnseen: a code that was changed behind the library's back
// stops deliveries, and they do not come back with the next registration.
func TestCodeChangedUnseen(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.mustRegister(t, "url", urlA)
		old := w.subscriptions(t)[0].ID
		stop := w.run(t)
		synctest.Wait()
		wantList(t, "posts", w.sent(), "callback_set "+urlA)
		w.groups.setCode("my-group", "NEW-CODE")
		w.chat(t, "1")
		synctest.Wait()
		if err := w.engine.Pause(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		w.chat(t, "2") // waits
		wantList(t, "posts", w.sent())
		w.mustRegister(t, "url", urlB, "secret", "NEW-CODE")
		w.chat(t, "3")
		synctest.Wait()
		stop()
		got := w.sent()
		slices.Sort(got)
		wantList(t, "posts", got, "callback_removed "+urlA, "callback_set "+urlB, "group_chat "+urlB)
		if subs := w.subscriptions(t); len(subs) != 1 || subs[0].ID == old {
			t.Errorf("%+v", subs)
		}
		states := w.deliveries(t)
		slices.Sort(states)
		wantList(t, "deliveries", states, "callback_removed delivered", "callback_set delivered", "callback_set delivered",
			"group_chat dead registration removed", "group_chat dead registration removed", "group_chat delivered")
	})
}

// TestCodeChangedMeanwhile: the code changes after it was checked, before the
// registration is stored or just after.
func TestCodeChangedMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		look  int // at which look at the group the code is a new one
		posts []string
	}{
		"before it is stored": {1, nil},
		"after it is stored":  {2, []string{"callback_removed " + urlA}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T, w *world) {
				looks := 0
				w.groups.byID = func() {
					if looks++; looks == c.look {
						w.groups.setCode("my-group", "NEW-CODE")
					}
				}
				if got := w.register(t, "url", urlA); got.body != failReply("ACCESS DENIED") {
					t.Errorf("%s", got.body)
				}
				stop := w.run(t)
				synctest.Wait()
				stop()
				wantList(t, "posts", w.sent(), c.posts...)
				if subs := w.subscriptions(t); len(subs) != 0 {
					t.Errorf("%+v", subs)
				}
			})
		})
	}
}

// TestOldCodeRemovesNothingNew: while a registration under the old code is slow,
// the code changes and another app registers under the new one.
func TestOldCodeRemovesNothingNew(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		other := "11111111-2222-3333-4444-555555555555"
		changed := false
		w.groups.byID = func() {
			if !changed { // the registration below asks, too
				changed = true
				w.groups.setCode("my-group", "NEW-CODE")
				w.mustRegister(t, "url", urlB, "secret", "NEW-CODE", "app_uuid", other)
			}
		}
		if got := w.register(t, "url", urlA); got.body != failReply("ACCESS DENIED") {
			t.Errorf("%s", got.body)
		}
		if subs := w.subscriptions(t); len(subs) != 1 || subs[0].Slot != other {
			t.Errorf("%+v", subs)
		}
	})
}

func TestAppsAndRemove(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		begin := time.Now()
		w.mustRegister(t, "url", urlA, "app_name", "A")
		time.Sleep(time.Second)
		w.mustRegister(t, "url", urlB, "app_name", "B", "apikey", "OTHER-APIKEY")
		w.mustRegister(t, "group", "Tea Club", "secret", "TEA")
		apps, err := smartbots.Apps(t.Context(), w.registry, "my-group")
		if err != nil || len(apps) != 2 {
			t.Fatalf("%+v, %v", apps, err)
		}
		want := []smartbots.App{
			{SubscriptionID: apps[0].SubscriptionID, Name: "B", URLHost: "other.example.com", Since: begin.Add(time.Second).UTC(), State: registry.Active},
			{SubscriptionID: apps[1].SubscriptionID, Name: "A", URLHost: "hooks.example.com", Since: begin.UTC(), State: registry.Active},
		}
		if diff := cmp.Diff(want, apps); diff != "" {
			t.Error(diff)
		}
		if all, err := smartbots.Apps(t.Context(), w.registry, ""); all != nil || err != nil {
			t.Errorf("no group: %+v, %v", all, err)
		}
		if err := smartbots.Remove(t.Context(), w.engine, apps[1].SubscriptionID); err != nil {
			t.Fatal(err)
		}
		if err := smartbots.Remove(t.Context(), w.engine, "sub_x"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("unknown: %v", err)
		}
		foreign := must(w.registry.Set(t.Context(), registry.Subscription{Dialect: "standard", URL: urlA, Types: []string{"a"}}))
		if err := smartbots.Remove(t.Context(), w.engine, foreign[0].ID); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("of another dialect: %v", err)
		}
		if apps, err = smartbots.Apps(t.Context(), w.registry, "my-group"); err != nil || len(apps) != 1 || apps[0].Name != "B" {
			t.Errorf("%+v, %v", apps, err)
		}
		stop := w.run(t)
		synctest.Wait()
		stop()
		for _, p := range w.posts {
			if p.url == urlA && p.form().Get("reason") != smartbots.ReasonRemovedByUser {
				t.Errorf("%s got %s", p.url, p.body)
			}
		}
		if got := w.sent(); !slices.Contains(got, "callback_removed "+urlA) || slices.Contains(got, "callback_set "+urlA) {
			t.Errorf("%q", got)
		}
	})
}

// TestStates: a new registration enables a disabled one and leaves a pause,
// which is the operator's, alone.
func TestStates(t *testing.T) {
	t.Parallel()
	bubble(t, func(t *testing.T, w *world) {
		w.answers(http.StatusGone)
		w.mustRegister(t)
		stop := w.run(t)
		synctest.Wait()
		if sub := w.subscriptions(t)[0]; sub.State != registry.Disabled {
			t.Fatalf("state %s", sub.State)
		}
		w.answers(0)
		w.mustRegister(t)
		synctest.Wait()
		sub := w.subscriptions(t)[0]
		if sub.State != registry.Active || sub.Reason != "" || len(w.posts) != 2 {
			t.Errorf("%+v, %d posts", sub, len(w.posts))
		}
		if err := w.engine.Pause(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
		w.mustRegister(t, "url", urlB)
		synctest.Wait()
		stop()
		if sub := w.subscriptions(t)[0]; sub.State != registry.Paused || sub.URL != urlB || len(w.posts) != 2 {
			t.Errorf("%+v, %d posts", sub, len(w.posts))
		}
	})
}
