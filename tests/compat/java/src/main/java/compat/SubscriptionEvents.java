package compat;

import static compat.CentrifugeClient.publication;
import static compat.ClientEvents.why;

import com.google.gson.JsonObject;
import io.github.centrifugal.centrifuge.JoinEvent;
import io.github.centrifugal.centrifuge.LeaveEvent;
import io.github.centrifugal.centrifuge.PublicationEvent;
import io.github.centrifugal.centrifuge.SubscribedEvent;
import io.github.centrifugal.centrifuge.SubscribingEvent;
import io.github.centrifugal.centrifuge.Subscription;
import io.github.centrifugal.centrifuge.SubscriptionErrorEvent;
import io.github.centrifugal.centrifuge.SubscriptionEventListener;
import io.github.centrifugal.centrifuge.UnsubscribedEvent;

/** Says what one subscription of centrifuge-java is told. */
final class SubscriptionEvents extends SubscriptionEventListener {
    private final ClientEvents client;
    private final String channel;

    SubscriptionEvents(ClientEvents client, String channel) {
        this.client = client;
        this.channel = channel;
    }

    private void tell(String event, JsonObject said) {
        client.tell(event, channel, said);
    }

    private void tell(String event, String name, String value) {
        JsonObject said = new JsonObject();
        said.addProperty(name, value);
        tell(event, said);
    }

    @Override
    public void onSubscribing(Subscription subscription, SubscribingEvent event) {
        tell("subscribing", why(event.getCode(), event.getReason()));
    }

    @Override
    public void onSubscribed(Subscription subscription, SubscribedEvent event) {
        JsonObject said = new JsonObject();
        said.addProperty("recovered", event.getRecovered());
        said.addProperty("recovering", event.wasRecovering());
        tell("subscribed", said);
    }

    @Override
    public void onUnsubscribed(Subscription subscription, UnsubscribedEvent event) {
        tell("unsubscribed", why(event.getCode(), event.getReason()));
    }

    @Override
    public void onPublication(Subscription subscription, PublicationEvent event) {
        tell("publication", publication(event.getData(), event.getOffset(), event.getInfo(), event.getTags()));
    }

    @Override
    public void onJoin(Subscription subscription, JoinEvent event) {
        tell("join", "user", event.getInfo().getUser());
    }

    @Override
    public void onLeave(Subscription subscription, LeaveEvent event) {
        tell("leave", "user", event.getInfo().getUser());
    }

    @Override
    public void onError(Subscription subscription, SubscriptionErrorEvent event) {
        tell("subscriptionError", "message", String.valueOf(event.getError()));
    }
}
