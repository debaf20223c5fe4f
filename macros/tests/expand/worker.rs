pub struct Api;
impl ::realgar::WorkerClass for Api {
    const CLASS: &'static ::realgar::__private::core::primitive::str = "Api";
    const NAME: &'static ::realgar::__private::core::primitive::str = "api";
}
impl ::realgar::Hosts<Counter> for Api {}
impl ::realgar::Hosts<Room> for Api {}
impl ::realgar::LiveWorker for Api {
    type Class = Self;
    type Objects = (Counter, (Room, ()));
}
