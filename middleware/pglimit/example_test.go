package pglimit_test

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/pglimit"
)

// A limiter is made without touching the database, so that mistakes show at
// start. Migrate makes its table.
func ExampleNew() {
	db, err := sql.Open("pgx", "postgres://app@db.internal/app")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	limiter, err := pglimit.New(pglimit.Config{DB: db, Name: "app", Requests: 600, Per: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	gate := middleware.RateLimit{Key: middleware.ByIdentity, Limiter: limiter, Name: "app"}
	fmt.Println(gate.Name)

	_, err = pglimit.New(pglimit.Config{DB: db})
	fmt.Println(errors.Is(err, middleware.ErrConfig), err)
	// Output:
	// app
	// true pglimit: middleware: bad configuration: the rate is 0 requests in 0s, set Requests and Per to more than zero
}
