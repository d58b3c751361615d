// Package tencentchat speaks the callbacks of Tencent Cloud Chat: a receiver
// for those of the platform, and the sending side of one.
//
//	app := tencentchat.App{
//		SDKAppID: "1400000001", Tokens: []registry.Secret{registry.NewSecret(token)},
//		URL: "https://im.example.com/cb", Commands: []string{tencentchat.CommandGroupAttrChanged},
//	}
//	receiver, err := tencentchat.NewReceiver(tencentchat.ReceiverConfig{
//		Apps: []tencentchat.App{app},
//		Handler: func(ctx context.Context, ev tencentchat.Event) (tencentchat.Reply, error) {
//			log.Println(ev.Command, ev.Platform)
//			return tencentchat.OK(), nil
//		},
//	})
//	if err != nil {
//		return err
//	}
//	http.Handle("/tencent/callback", receiver)
//
//	apps, err := tencentchat.NewApps(app)
//	if err != nil {
//		return err
//	}
//	engine, err := delivery.New(delivery.Config{
//		Store: store, Registry: subscriptions, Client: client,
//		Dialects: map[string]delivery.Dialect{
//			tencentchat.Name: tencentchat.Dialect{Signer: apps.Signer},
//		},
//	})
//	if err != nil {
//		return err
//	}
//	sub, err := tencentchat.NewSubscription(app)
//	if err != nil {
//		return err
//	}
//	_, err = engine.Subscribe(ctx, sub)
//
// # Order
//
// A [Receiver] checks method, query, size, SdkAppid, Sign, media type and
// packet, in this order, and hands an [Event] to the [Handler]; a command that
// it does not know is an Event as well. To send, publish events with [Name] as
// their dialect, the SdkAppid as tenant, the command as type and the packet
// without CallbackCommand as data.
//
// # Guarantees
//
// Every security input counts only if it stands there exactly once; a missing
// Sign is refused where a token is set, an empty token where it is configured.
// Refusals name their class and nothing else. Members that a type does not
// know are kept. Each attempt is signed afresh; a request that should be
// signed is never sent without. Tokens stand in no log and no error.
//
// # Concurrency
//
// All types are safe for concurrent use once made.
//
// # Not here, because
//
// Proof of the body: the platform's Sign covers only the token and the time.
// Serve the URL over TLS alone.
package tencentchat
