package otelx_test

import (
	"testing"

	"github.com/ringback-go/ringback/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }
