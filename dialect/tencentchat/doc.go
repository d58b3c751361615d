// Package tencentchat speaks the callbacks of Tencent Cloud Chat: a receiver
// for those of the platform, and the sending side of one. Package
// tencentchat/event has the types of the packets.
//
//	app := tencentchat.App{
//		SDKAppID: "1400000001", Tokens: []registry.Secret{registry.NewSecret(token)},
//		URL: "https://im.example.com/cb", Commands: []string{event.CommandGroupAttrChanged},
//		Before: []string{event.CommandGroupBeforeSendMsg},
//	}
//	var mux tencentchat.Mux
//	mux.OnGroupAttrChanged(func(ctx context.Context, changed event.GroupAttrChanged) error {
//		log.Println(changed.GroupID, changed.Option)
//		return nil
//	})
//	mux.OnGroupBeforeSendMsg(func(ctx context.Context, asked event.GroupBeforeSendMsg) (tencentchat.GroupMsgReply, error) {
//		return tencentchat.GroupMsgReply{}.Refuse(10100, "not on Sundays")
//	})
//	receiver, err := tencentchat.NewReceiver(tencentchat.ReceiverConfig{
//		Apps: []tencentchat.App{app}, Handler: mux.Handle,
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
//	asker, err := tencentchat.NewClient(tencentchat.ClientConfig{Apps: []tencentchat.App{app}, HTTP: client})
//	if err != nil {
//		return err
//	}
//	decision, err := asker.Ask(ctx, tencentchat.Question{SDKAppID: app.SDKAppID, Packet: packet})
//
// # Order
//
// A [Receiver] checks method, query, size, SdkAppid, Sign, media type and
// packet, in this order, and hands an [Event] to the [Handler]; a command that
// it does not know is an Event as well. A [Mux] is a Handler that decodes the
// packet and hands it to the handler of its command. To send an after-command,
// publish what [NewEvent] returns: [Name] as dialect, the SdkAppid as tenant,
// the command as type and the packet without CallbackCommand as data. A
// before-command is asked by a [Client], at once or not at all.
//
// # Guarantees
//
// Every security input counts only if it stands there exactly once; a missing
// Sign is refused where a token is set, an empty token where it is configured.
// Refusals name their class and nothing else. Members that a type does not
// know are kept. A reply carries no code but its command's; an answer with
// another is none. Each attempt is signed afresh; a request that should be
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
