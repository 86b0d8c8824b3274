package compat;

/** Runs the stock SDK that the argument names. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        switch (args[0]) {
            case "centrifuge" -> new CentrifugeClient().run();
            case "pusher-client" -> new PusherClient().run();
            case "pusher-server" -> new PusherServer().run();
            default -> throw new IllegalArgumentException(args[0]);
        }
    }
}
