// Package event has a type for the packet of every callback of Tencent Cloud
// Chat that is documented, decoded without losing a member.
//
//	packet, err := event.Parse(body)
//	if err != nil {
//		return err // event.ErrPacket
//	}
//	switch ev := packet.(type) {
//	case *event.GroupSendMsg:
//		for _, elem := range ev.MsgBody {
//			text, _ := elem.Text()
//			log.Println(ev.GroupID, ev.From, text)
//		}
//	case *event.Unknown:
//		log.Println(ev.Name)
//	}
//	again, err := json.Marshal(packet)
//
// A type is named after its command, without the scope, Callback, After and
// On; those of C2C keep their scope, and so do the two of Group that C2C has as
// well. Fields are named after the members, without _Account.
//
// # Guarantees
//
// What decodes encodes to an equal JSON value: the same members at every level,
// numbers and strings as they were, nulls, zeros and unknown members included.
// What a type has no field for stands in its Extra. Texts that two readers
// could understand differently are refused, see [Parse]; a name in other
// letters than the documented ones is another name.
//
// # Concurrency
//
// Events are plain values: any number of readers, or one writer.
//
// # Not here, because
//
// Proof of the sender: tencentchat.Receiver has it. Types for the contents of
// messages: there are many, they change, and they are the app's matter.
package event
