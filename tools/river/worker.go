package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/riverqueue/river"
)

// callback is a job: what to post to which endpoint.
type callback struct {
	Endpoint int             `json:"endpoint"`
	Body     json.RawMessage `json:"body"`
}

// Kind implements river.JobArgs.
func (callback) Kind() string { return "callback" }

// target is where an endpoint is, and what its requests are signed with.
type target struct {
	url    string
	secret []byte
}

type worker struct {
	river.WorkerDefaults[callback]

	targets []target
	client  *http.Client
}

func newWorker(o order) *worker {
	w := &worker{
		targets: make([]target, o.Endpoints),
		client: &http.Client{
			Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256, DisableCompression: true, IdleConnTimeout: 10 * time.Second},
			Timeout:   15 * time.Second,
		},
	}
	for i := range w.targets {
		w.targets[i] = target{fmt.Sprintf("%s/hook/%d", o.URL, i), make([]byte, 32)}
		_, _ = rand.Read(w.targets[i].secret) // never fails; it ends the program instead
	}
	return w
}

// Work posts one callback, signed as Standard Webhooks has it.
func (w *worker) Work(ctx context.Context, job *river.Job[callback]) error {
	to := w.targets[job.Args.Endpoint]
	id, at := "msg_"+strconv.FormatInt(job.ID, 10), strconv.FormatInt(time.Now().Unix(), 10)
	mac := hmac.New(sha256.New, to.secret)
	fmt.Fprintf(mac, "%s.%s.%s", id, at, job.Args.Body)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.url, bytes.NewReader(job.Args.Body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	req.Header.Set("Webhook-Timestamp", at)
	req.Header.Set("Webhook-Signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)); err != nil {
		return err
	}
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	return nil
}
