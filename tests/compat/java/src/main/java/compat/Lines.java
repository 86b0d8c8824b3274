package compat;

import com.google.gson.Gson;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.CompletableFuture;

/** Speaks with the runner of the compatibility tests: JSON lines on standard input and output. */
final class Lines {
    static final Gson GSON = new Gson();

    private Lines() {}

    /** What a server answered with: its number, or 0. */
    static final class Failure extends Exception {
        final int code;

        Failure(int code, String message) {
            super(message);
            this.code = code;
        }
    }

    /** Carries out one command. */
    interface Doer {
        CompletableFuture<JsonElement> act(String what, JsonObject ask) throws Exception;
    }

    /** Writes one line. */
    static synchronized void say(JsonObject line) {
        System.out.println(GSON.toJson(line));
        System.out.flush();
    }

    static void answer(int id, JsonElement result, Throwable error) {
        JsonObject line = new JsonObject();
        line.addProperty("id", id);
        if (error == null) {
            line.add("result", result == null ? new JsonObject() : result);
        } else {
            Throwable cause = error.getCause() == null ? error : error.getCause();
            JsonObject said = new JsonObject();
            said.addProperty("code", cause instanceof Failure ? ((Failure) cause).code : 0);
            said.addProperty("message", String.valueOf(cause.getMessage()));
            line.add("error", said);
        }
        say(line);
    }

    static void serve(Doer doer) throws IOException {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = input.readLine(); text != null; text = input.readLine()) {
            JsonObject ask = JsonParser.parseString(text).getAsJsonObject();
            int id = ask.get("id").getAsInt();
            try {
                doer.act(ask.get("do").getAsString(), ask).whenComplete((result, error) -> answer(id, result, error));
            } catch (Exception error) { // whatever the SDK throws is the answer
                answer(id, null, error);
            }
        }
        System.exit(0);
    }

    static CompletableFuture<JsonElement> done() {
        return CompletableFuture.completedFuture(null);
    }

    static CompletableFuture<JsonElement> done(JsonElement result) {
        return CompletableFuture.completedFuture(result);
    }

    static String text(JsonObject ask, String name) {
        return ask.has(name) && !ask.get(name).isJsonNull() ? ask.get(name).getAsString() : null;
    }

    static boolean flag(JsonObject ask, String name) {
        return ask.has(name) && ask.get(name).getAsBoolean();
    }

    /** JSON that came as bytes. */
    static JsonElement json(byte[] bytes) {
        return JsonParser.parseString(new String(bytes, StandardCharsets.UTF_8));
    }

    static byte[] bytes(JsonElement json) {
        return GSON.toJson(json).getBytes(StandardCharsets.UTF_8);
    }
}
