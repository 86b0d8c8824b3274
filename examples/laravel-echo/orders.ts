import Echo from "laravel-echo";
import Pusher from "pusher-js";

const order = new URLSearchParams(location.search).get("order") ?? "1";
const gateway = new URL((await (await fetch("/gateway")).text()).trim());

// What a Laravel app has in resources/js/echo.js, with the gateway's address in place of Reverb's.
const echo = new Echo({
  broadcaster: "pusher",
  key: "shop-key",
  client: new Pusher("shop-key", {
    cluster: "",
    wsHost: gateway.hostname,
    wsPort: Number(gateway.port),
    wssPort: Number(gateway.port),
    forceTLS: gateway.protocol === "https:",
    enabledTransports: ["ws", "wss"],
    channelAuthorization: { endpoint: "/broadcasting/auth", transport: "ajax" },
  }),
});

const list = document.querySelector("#events")!;
const state = document.querySelector("#state")!;
echo.connector.onConnectionChange((status) => {
  state.textContent = status;
});
echo
  .private(`orders.${order}`)
  .subscribed(() => {
    state.textContent = `following order ${order}`;
  })
  .error((problem: unknown) => {
    state.textContent = `refused: ${JSON.stringify(problem)}`;
  })
  .listen("OrderShipped", ({ status }: { status: string }) => {
    list.appendChild(document.createElement("li")).textContent = status;
  });
