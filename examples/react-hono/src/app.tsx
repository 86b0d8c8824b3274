import { type FormEvent, useState } from "react";
import { client, useChannel, useConnection } from "./realtime.ts";

export function App() {
  const [signedIn, setSignedIn] = useState(false);
  if (signedIn) return <Room name="42" />;
  return <Login done={() => setSignedIn(true)} />;
}

function Login({ done }: { done: () => void }) {
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const name = new FormData(event.currentTarget).get("name");
    const answer = await fetch("/login", { method: "POST", body: JSON.stringify({ name }) });
    if (!answer.ok) return setProblem(await answer.text());
    client.connect();
    done();
  };
  return (
    <form onSubmit={submit}>
      <input name="name" placeholder="Your name" aria-label="Your name" required />
      <button type="submit">Enter</button>
      <p role="alert">{problem}</p>
    </form>
  );
}

function Room({ name }: { name: string }) {
  const connection = useConnection();
  const { messages, publish } = useChannel<{ text: string }>(`chat:${name}`);
  const [problem, setProblem] = useState("");
  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const form = event.currentTarget;
    const text = String(new FormData(form).get("text"));
    try {
      await publish({ text });
      form.reset(); // only what was stored leaves the field
      setProblem("");
    } catch {
      setProblem("Not sent. Try again.");
    }
  };
  return (
    <main>
      {connection !== "connected" && <p role="status">Reconnecting …</p>}
      <ul>
        {messages.map(({ offset, user, data }) => (
          <li key={offset}>
            <b>{user}</b> {data.text}
          </li>
        ))}
      </ul>
      <form onSubmit={submit}>
        <input name="text" aria-label="Message" autoComplete="off" required />
        <button type="submit">Send</button>
        <p role="alert">{problem}</p>
      </form>
    </main>
  );
}
