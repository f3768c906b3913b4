// A node-oidc-provider, which the OpenID Foundation certified, with one client and any account.
import { Provider } from "oidc-provider";

const [port, callback, secret] = process.argv.slice(2);
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "cairn",
    client_secret: secret,
    redirect_uris: [callback],
    response_types: ["code"],
    grant_types: ["authorization_code"],
  }],
  claims: { openid: ["sub"], profile: ["preferred_username", "name"], email: ["email"] },
  conformIdTokenClaims: false, // profile and address in the ID token, as most providers have them
  cookies: { keys: ["for a test"] },
  async findAccount(_, id) {
    const claims = { sub: id, preferred_username: id, name: `${id} H.`, email: `${id}@x.example` };
    return { accountId: id, claims: async () => claims };
  },
});
provider.listen(Number(port), "127.0.0.1", () => console.log("ready"));
