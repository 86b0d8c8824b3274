package compat;

import static compat.CentrifugeClient.publication;

import com.google.gson.JsonObject;
import io.github.centrifugal.centrifuge.Client;
import io.github.centrifugal.centrifuge.ConnectedEvent;
import io.github.centrifugal.centrifuge.ConnectingEvent;
import io.github.centrifugal.centrifuge.DisconnectedEvent;
import io.github.centrifugal.centrifuge.ErrorEvent;
import io.github.centrifugal.centrifuge.EventListener;
import io.github.centrifugal.centrifuge.ServerPublicationEvent;
import io.github.centrifugal.centrifuge.ServerSubscribedEvent;
import io.github.centrifugal.centrifuge.ServerUnsubscribedEvent;

/** Says what one client of centrifuge-java is told. */
final class ClientEvents extends EventListener {
    private final String name;

    ClientEvents(String name) {
        this.name = name;
    }

    void tell(String event, String channel, JsonObject said) {
        said.addProperty("client", name);
        said.addProperty("event", event);
        if (channel != null) said.addProperty("channel", channel);
        Lines.say(said);
    }

    static JsonObject why(int code, String reason) {
        JsonObject said = new JsonObject();
        said.addProperty("code", code);
        said.addProperty("reason", reason);
        return said;
    }

    @Override
    public void onConnecting(Client client, ConnectingEvent event) {
        tell("connecting", null, why(event.getCode(), event.getReason()));
    }

    @Override
    public void onConnected(Client client, ConnectedEvent event) {
        JsonObject said = new JsonObject();
        said.addProperty("id", event.getClient());
        tell("connected", null, said);
    }

    @Override
    public void onDisconnected(Client client, DisconnectedEvent event) {
        tell("disconnected", null, why(event.getCode(), event.getReason()));
    }

    @Override
    public void onError(Client client, ErrorEvent event) {
        JsonObject said = new JsonObject();
        said.addProperty("message", String.valueOf(event.getError()));
        tell("error", null, said);
    }

    @Override
    public void onSubscribed(Client client, ServerSubscribedEvent event) {
        JsonObject said = new JsonObject();
        said.addProperty("recovered", event.getRecovered());
        said.addProperty("recovering", event.wasRecovering());
        tell("serverSubscribed", event.getChannel(), said);
    }

    @Override
    public void onUnsubscribed(Client client, ServerUnsubscribedEvent event) {
        tell("serverUnsubscribed", event.getChannel(), new JsonObject());
    }

    @Override
    public void onPublication(Client client, ServerPublicationEvent event) {
        tell("serverPublication", event.getChannel(),
            publication(event.getData(), event.getOffset(), event.getInfo(), event.getTags()));
    }
}
