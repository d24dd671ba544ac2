//! Code with something wrong on many lines. Each must be reported there, traced or not.
#![warn(clippy::all, clippy::pedantic, unused)]

pub struct Charm {
    pub client: Client,
    pub jobs: Vec<u8>,
}

pub struct Client;

impl Client {
    #[must_use]
    pub fn pure(&self) -> u8 {
        1
    }

    /// # Errors
    ///
    /// Never.
    pub fn fallible(&self) -> Result<u8, String> {
        Ok(1)
    }

    pub fn exits(&self) -> ! {
        panic!("exits")
    }

    /// # Errors
    ///
    /// Never.
    pub async fn fetch(&self) -> Result<u8, String> {
        std::future::ready(Ok(1)).await
    }
}

//@ block
impl Charm {
    fn dead(&self) -> Result<u8, String> {
        self.client.fallible()
    }

    async fn dead_future(&self) -> Result<u8, String> {
        self.client.fetch().await
    }

    /// # Errors
    ///
    /// Never.
    pub fn unused_argument(&self, unused: u8, mut unused_mut: u8) -> Result<u8, String> {
        Ok(self.client.pure() + unused_mut)
    }

    pub fn unused_argument_of_unit(&self, unused: u8) {
        self.client.exits()
    }

    /// # Errors
    ///
    /// Never.
    pub async fn unused_argument_of_future(&self, unused: u8, (a, b): (u8, u8)) -> Result<u8, String> {
        self.client.fetch().await.map(|c| c + a)
    }

    /// # Errors
    ///
    /// Never.
    pub fn unused_variable(&self) -> Result<u8, String> {
        let unused = self.client.pure();
        let mut never_changed = 1;
        Ok(never_changed)
    }

    /// # Errors
    ///
    /// Never.
    pub fn unused_results(&self) -> Result<u8, String> {
        self.client.pure();
        self.client.fallible();
        self.client();
        self.client().pure();
        self.client().fallible();
        self.client.fetch();
        Ok(1)
    }

    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// # Errors
    ///
    /// Never.
    pub async fn unused_results_of_futures(&self) -> Result<u8, String> {
        self.client.fetch().await;
        self.client.pure();
        self.client().fetch();
        Ok(1)
    }

    /// # Errors
    ///
    /// Never.
    pub fn unreachable(&self) -> Result<u8, String> {
        return Ok(1);
        self.client.fallible()
    }

    /// # Errors
    ///
    /// Never.
    pub async fn unreachable_in_future(&self) -> Result<u8, String> {
        return Ok(1);
        self.client.fetch().await
    }

    pub fn unreachable_after_exit(&self) -> u8 {
        self.client.exits();
        self.client.pure()
    }

    pub fn missing_errors_section(&self) -> Result<u8, String> {
        Ok(1)
    }

    /// # Errors
    ///
    /// Never.
    pub fn style(&self) -> Result<usize, String> {
        let length = self.jobs.iter().map(|x| x.clone()).collect::<Vec<u8>>().len();
        if self.jobs.len() == 0 {
            return Err("none".to_string());
        }
        return Ok(length);
    }
}

//@ function
fn dead_function(unused: u8) -> Result<u8, String> {
    Ok(1)
}
