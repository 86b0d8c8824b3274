import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const server = "http://localhost:3000";

// `npm run dev` serves the page with hot reload, and hands everything else to server.ts.
export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/connection": { target: server, ws: true }, "/login": server, "/token": server } },
});
