package sqldedup_test

import (
	"database/sql"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/sqldedup"
)

func ExampleNew() {
	dir, err := os.MkdirTemp("", "dedup")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "app.db")+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	store, err := sqldedup.New(sqldedup.Config{DB: db})
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body"))
	if err := store.Migrate(r.Context()); err != nil {
		fmt.Println(err)
		return
	}
	runs := 0
	h := middleware.Body{}.Handler(middleware.Dedup{
		Store: store, ID: func(*http.Request) string { return "msg_1" },
	}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runs++
		fmt.Fprintf(w, "run %d", runs)
	})))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body")))
		fmt.Printf("%d %s replayed=%q\n", w.Code, w.Body, w.Header().Get(middleware.ReplayedHeader))
	}
	// Output:
	// 200 run 1 replayed=""
	// 200 run 1 replayed="true"
}
